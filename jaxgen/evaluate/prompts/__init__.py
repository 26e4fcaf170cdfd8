"""Text-to-image models on lists of prompts: images, scores by category, sheets on which people compare two models.

prompts = tuple(read_prompts("PartiPrompts.tsv"))
ours = generate("runs/ours", Manifest("ours", prompts, seeds=(0, 1)), fn)     fn(prompts, keys [B]) -> uint8 images
write_report(ours, score(ours, clip))                                         runs/ours/report.html, metrics.json
write_sheet("sheet.html", ours, open_run("runs/theirs"), key)                 jaxgen ratings ratings-*.json
"""
