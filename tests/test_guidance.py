"""Guidance of a perfect conditional model has a closed form: combinations of exact scores."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from oracle import component_logp, exact_denoiser, log_prob_at, mixture, mixture_denoiser

from jaxgen.guidance import autoguidance, classifier, classifier_free, interval, unconditional
from jaxgen.prediction import EPS, SCORE, VELOCITY, X0, V
from jaxgen.sde import edm, vp

DATA = mixture([0.5, 0.2, 0.3], [[1.0, 0.0], [-1.0, 1.0], [0.0, -2.0]], [0.3, 0.5, 0.2])
NOBODY = -1  # the oracle's condition for "the whole mixture"
X = np.random.default_rng(0).standard_normal((6, 2))
T = np.linspace(0.05, 0.95, 6)
COND = np.array([0, 1, 2, 0, 1, 2])


def _inputs() -> tuple[jax.Array, ...]:
    return jnp.asarray(X), jnp.asarray(T), jnp.asarray(COND)


@pytest.mark.parametrize("prediction", [X0, EPS, SCORE, V, VELOCITY])
@pytest.mark.parametrize("weight", [0.0, 1.0, 3.5])
def test_classifier_free_is_the_combination_of_scores(x64, prediction, weight):
    """score_u + w (score_c - score_u), whatever is predicted: w = 1 the conditional, w = 0 the unconditional model."""
    x, t, cond = _inputs()
    guided = classifier_free(weight, NOBODY)(exact_denoiser(vp(), DATA, prediction))
    whole = jax.grad(lambda x: jnp.sum(log_prob_at(DATA, vp(), x, t)))(x)
    component = exact_denoiser(vp(), DATA).score(x, t, cond)
    want = whole + weight * (component - whole)
    np.testing.assert_allclose(guided.score(x, t, cond), want, rtol=1e-7, atol=1e-8)


def test_no_condition_can_be_none_itself(x64):
    """A network that takes None for "no class" is guided by running it with None."""
    x, t, cond = _inputs()
    den = exact_denoiser(vp(), DATA)
    want = classifier_free(2.0, NOBODY)(den).fn(x, t, cond)
    np.testing.assert_allclose(classifier_free(2.0)(den).fn(x, t, cond), want, rtol=1e-9, atol=1e-12)


def test_classifier_free_needs_a_condition():
    with pytest.raises(ValueError, match="condition"):
        classifier_free(2.0, NOBODY)(exact_denoiser(vp(), DATA)).fn(jnp.asarray(X), jnp.asarray(T), None)


def test_classifier_free_takes_a_tree_of_conditions(x64):
    """Text and size, say, are each replaced by their own null."""
    x, t, cond = _inputs()

    def fn(x, t, cond):
        return x * cond["a"][:, None] + cond["b"]

    den = exact_denoiser(vp(), DATA)._replace(fn=fn)
    tree = {"a": cond.astype(x.dtype), "b": jnp.ones((6, 2))}
    guided = classifier_free(3.0, {"a": 1.0, "b": 0.0})(den).fn(x, t, tree)
    np.testing.assert_allclose(guided, x + 3.0 * (fn(x, t, tree) - x), rtol=1e-12)


def test_interval_guides_only_where_it_says(x64):
    """Noise levels sigma/alpha in (low, high] are guided, all others are the plain conditional model."""
    sde = edm()
    x, _, cond = _inputs()
    t = jnp.asarray([0.1, 0.3, 0.30001, 1.0, 5.0, 5.1])
    den = exact_denoiser(sde, DATA, X0)
    strong = classifier_free(4.0, NOBODY)
    got = interval(strong, 0.3, 5.0)(den).fn(x, t, cond)
    inside = np.array([False, False, True, True, True, False])[:, None]
    np.testing.assert_allclose(got, np.where(inside, strong(den).fn(x, t, cond), den.fn(x, t, cond)), rtol=1e-12)


def test_an_exact_classifier_makes_the_conditional_model(x64):
    """grad log p(x|c) = grad log p(x) + grad log p(c|x): the exact p(c | x_t) turns the mixture into its component."""
    x, t, cond = _inputs()
    den = exact_denoiser(vp(), DATA)
    guided = classifier(lambda x, t, cond: component_logp(DATA, vp(), x, t, cond))(unconditional(den))
    np.testing.assert_allclose(guided.score(x, t, cond), den.score(x, t, cond), rtol=1e-7, atol=1e-8)
    np.testing.assert_allclose(guided.x0(x, t, cond), den.x0(x, t, cond), rtol=1e-6, atol=1e-7)


def test_classifier_guidance_adds_to_a_guided_model(x64):
    """On top of classifier-free guidance: score + w_f (score_c - score) + w grad log p(c|x)."""
    x, t, cond = _inputs()
    den = exact_denoiser(vp(), DATA)
    guided = classifier(lambda x, t, cond: component_logp(DATA, vp(), x, t, cond), 0.5)(
        classifier_free(2.0, NOBODY)(den)
    )
    plain = unconditional(den).score(x, t, cond)
    want = plain + 2.5 * (den.score(x, t, cond) - plain)
    np.testing.assert_allclose(guided.score(x, t, cond), want, rtol=1e-7, atol=1e-8)


def test_autoguidance_extrapolates_from_the_weak_model(x64):
    """Weight 1 is the model itself, 0 the weak one, w the line through both, even if they predict different things."""
    x, t, _ = _inputs()
    strong = exact_denoiser(vp(), DATA, V)
    weak = mixture_denoiser(vp(), DATA.weights, DATA.means, 2 * DATA.stds, X0)
    np.testing.assert_allclose(autoguidance(weak, 1.0)(strong).x0(x, t), strong.x0(x, t), rtol=1e-7)
    np.testing.assert_allclose(autoguidance(weak, 0.0)(strong).x0(x, t), weak.x0(x, t), rtol=1e-7)
    want = weak.eps(x, t) + 2.5 * (strong.eps(x, t) - weak.eps(x, t))
    np.testing.assert_allclose(autoguidance(weak, 2.5)(strong).eps(x, t), want, rtol=1e-7, atol=1e-9)


def test_rules_compose(x64):
    """Guiding a guided model: both corrections are applied, and an inactive interval changes nothing."""
    x, t, cond = _inputs()
    den = exact_denoiser(vp(), DATA)
    weak = mixture_denoiser(vp(), DATA.weights, DATA.means, 2 * DATA.stds)
    both = autoguidance(weak, 2.0)(classifier_free(3.0, NOBODY)(den))
    free = den.eps(x, t) + 3.0 * (den.eps(x, t, cond) - den.eps(x, t))
    want = weak.eps(x, t, cond) + 2.0 * (free - weak.eps(x, t, cond))
    np.testing.assert_allclose(both.eps(x, t, cond), want, rtol=1e-7, atol=1e-9)
    idle = interval(autoguidance(weak, 5.0), 1e6, 1e7)(both)
    np.testing.assert_allclose(idle.eps(x, t, cond), want, rtol=1e-7, atol=1e-9)
