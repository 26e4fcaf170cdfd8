"""If these fail, a sweep runs the wrong settings or mixes its runs, or a machine is rented for a command that fails."""

import subprocess
import sys

import job
import pytest
import runner

TINY = ["train", "--config=tests/tiny.py", "--workdir=runs/x"]


def test_without_a_sweep_it_is_the_command_that_was_given():
    """Flags that were dropped or reordered into another meaning would train something else."""
    (one,) = job.jobs([*TINY, "--config.train.steps=9"])
    assert one == job.Job((*TINY, "--config.train.steps=9"), "runs/x")
    assert job.jobs([*TINY, "--distributed"]) == job.jobs(TINY)  # which each launcher says
    (two,) = job.jobs(["sample", "--workdir", "gs://bucket/run", "--num=8", "--out", "a b.png"])
    assert two == job.Job(("sample", "--num=8", "--out", "a b.png", "--workdir=gs://bucket/run"), "gs://bucket/run")


def test_a_sweep_is_the_product_each_point_in_its_own_directory():
    """Two points in one directory would train on top of each other."""
    sweeps = ["--sweep.optimizer.learning_rate=1e-4,2e-4", "--sweep.train.batch_size=16,32"]
    made = job.jobs([*TINY, "--config.seed=3", *sweeps])
    assert [one.workdir for one in made] == [
        f"runs/x/learning_rate={rate},batch_size={size}" for rate in ("1e-4", "2e-4") for size in (16, 32)
    ]
    assert made[1].arguments == (
        *TINY[:2],
        "--workdir=runs/x/learning_rate=1e-4,batch_size=32",
        *("--config.seed=3", "--config.optimizer.learning_rate=1e-4", "--config.train.batch_size=32"),
    )


def test_values_with_commas_and_keys_that_end_alike():
    """A tuple cut at its comma, or two keys under one name, make a sweep over something else."""
    assert job.values("(1,2),(2,2)") == ["(1,2)", "(2,2)"]
    assert job.values("1e-4,2e-4,'a,b'") == ["1e-4", "2e-4", "'a,b'"]
    assert job.name(["ema.decay=0.9", "train.batch_size=(1, 2)"]) == "decay=0.9,batch_size=_1_2_"
    assert job.name(["a.steps=1", "b.steps=2"]) == "a.steps=1,b.steps=2"


def test_a_whole_function_can_be_swept():
    """A sweep over processes or networks is one over functions, which have no value of their own."""
    assert [one.workdir for one in job.jobs([*TINY, "--sweep.sde=vp,edm"])] == ["runs/x/sde=vp", "runs/x/sde=edm"]


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        ([*TINY, "--sweep.optimizer.learning_rat=1,2"], "did you mean 'optimizer.learning_rate'"),
        ([*TINY, "--sweep.train=1,2"], "unknown key of a sweep 'train'"),
        ([*TINY, "--sweep.seed="], "got no values"),
        ([*TINY, "--sweep.train.batch_size=16,no"], "config.train.batch_size must be int, got 'no'"),
        ([*TINY, "--sweep.train.batch_size=16,16"], "two points of the sweep have the same name"),
        ([*TINY, "--config.trian.steps=3"], "did you mean 'train.steps'"),
        ([*TINY, "--stepps=3"], "unrecognized arguments: --stepps=3"),
        (["train", "--config=tests/none.py", "--workdir=x"], "expected a configuration file at tests/none.py"),
        (["info", "--config=tests/tiny.py"], "needs a work directory"),
        (["sample", "--workdir=x", "--sweep.seed=1,2"], "only a command with --config can be swept"),
        ([*TINY, "--config.data.dataset=a\nb"], "line break"),
        ([*TINY, "--num_processes=2"], "leave it to the launcher"),
        (["restore", "--workdir=x", "--task=inpaint"], "jaxgen restore is one process"),
    ],
)
def test_what_would_fail_there_is_refused_here(arguments, said):
    """A wrong key must be known before a pod is waited and paid for."""
    with pytest.raises(ValueError) as error:
        job.jobs(arguments)
    assert said in str(error.value)


def test_the_launchers_do_not_load_jax():
    """Loading JAX on a TPU host takes the chips away from the run; on a laptop it takes seconds."""
    check = (
        "import sys, gke, local, slurm, source, tpu_vm, job; job.jobs(sys.argv[1:]); assert 'jax' not in sys.modules"
    )
    subprocess.run([sys.executable, "-c", check, *TINY], check=True, env={"PYTHONPATH": "experiments/launch"})


def test_what_is_retried():
    """A preempted run that is given up wastes the night; a wrong one that is tried again wastes the money."""
    assert all(runner.retryable(code) for code in (-9, -15, -6, 75, 134, 137, 143))
    assert not any(runner.retryable(code) for code in (0, 1, 2, 130, -2, 255))


def test_persist_backs_off_and_gives_up():
    """Without a bound a broken run would be started for ever; without a pause, as fast as it fails."""
    codes, slept = iter([-9, 75, 134, 75]), []
    assert runner.persist(lambda: next(codes), 3, 2.0, slept.append) == 75
    assert slept == [2.0, 4.0, 8.0]
    codes, slept = iter([75, 2]), []
    assert runner.persist(lambda: next(codes), 3, 2.0, slept.append) == 2
    assert slept == [2.0]


def test_a_life_that_lasted_begins_the_count_anew():
    """A spot slice that is preempted every few hours would be given up after so many, though it trains."""
    codes, times, slept = iter([75, 75, 75, 75, 0]), iter([0, 1, 10, 11, 20, 20 + runner.PROGRESS, 30, 31, 40, 41]), []
    assert runner.persist(lambda: next(codes), 2, 2.0, slept.append, lambda: next(times)) == 0
    assert slept == [2.0, 4.0, 2.0, 4.0]


@pytest.mark.parametrize(
    ("codes", "code"),
    [([0, 0], 0), ([137, 75, 2], 2), ([137, 1, 75], 1), ([137, 130], 130), ([75, 0], 75), ([137, 134], 137), ([], 0)],
)
def test_one_process_that_is_wrong_forbids_to_start_again(codes, code):
    """The peers of a wrong process are killed or lose it: taken for the cause, a bug is run twenty times.
    The rule is the same where a shell asks it."""
    assert runner.verdict(codes) == code
    done = subprocess.run([sys.executable, runner.__file__, *map(str, codes)], stdout=subprocess.PIPE, text=True)
    assert (done.returncode, done.stdout.strip() == "again") == (code, runner.retryable(code))


def test_one_failed_point_stops_no_other():
    """A learning rate that diverges must not take the rest of its sweep with it."""
    ran = []
    assert job.each([1, 2, 3], lambda one: ran.append(one) or (5 if one == 2 else 0)) == 5
    assert ran == [1, 2, 3]


def test_a_program_that_is_missing_is_named(capsys, monkeypatch):
    """Who has no gcloud must read that, not a traceback."""
    monkeypatch.setenv("PATH", "/nowhere")
    assert job.guard(lambda: runner.runner(dry_run=False).run(["gcloud", "version"])) == 2
    assert "expected the program gcloud, found none" in capsys.readouterr().err
