"""A progress bar for a job, on stderr."""

from __future__ import annotations

from bary.client import Job


def follow(job: Job) -> None:
    """Show a bar until the job is over, however it ends."""
    from tqdm.auto import tqdm

    layout = "{desc}{percentage:3.0f}%|{bar}| {elapsed}<{remaining}{postfix}"
    with tqdm(total=1.0, desc="fit", bar_format=layout, leave=True) as bar:
        for status in job.watch():
            progress = status.progress
            bar.n = 1.0 if status.state == "succeeded" else progress.fraction
            bar.set_description(
                status.state if status.state != "running" else progress.stage, False
            )
            known = {"run": f"{progress.run + 1}/{progress.n_init}"} if progress.n_init > 1 else {}
            if progress.iteration:
                known["round"] = str(progress.iteration)
            if progress.inertia is not None:
                known["inertia"] = f"{progress.inertia:.6g}"
            if progress.labels_moved is not None:
                known["moved"] = str(progress.labels_moved)
            bar.set_postfix(known, refresh=True)
