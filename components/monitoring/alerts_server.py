"""Alerts about the server, its answers and its queues."""

from __future__ import annotations

from dataclasses import dataclass

from components.model.watch import Job
from components.monitoring.alerts_rule import Alert, Severity, needs
from components.monitoring.metric_names import COUNTED, MACHINE_LEARNING_QUEUES, QUEUES, requests_of
from components.monitoring.plan import EXPORTERS, MonitoringPlan, Source

MAY_BE_SLOW = 0.01
"""Share of the answers over 30 days."""


def server(plan: MonitoringPlan) -> list[Alert]:
    """Is it there, does it answer, and how fast."""
    down = plan.thresholds.down
    every = f"sum by (door) (immich:http_requests:rate5m{plan.recorded()})"
    failed = "sum by (door) (immich:http_requests:rate5m" + plan.recorded('code=~"5.."') + ")"
    counted = requests_of(plan)
    burns = (
        _Burn(name="ImmichSlowNow", severity="warning", long="1h", short="5m", rate=14.4, for_="2m"),
        _Burn(name="ImmichSlowAllDay", severity="info", long="6h", short="30m", rate=6, for_="15m"),
    )
    return [
        Alert(
            name="ImmichDown",
            expr=f"max(up{plan.select('api')}) == 0 or absent(up{plan.select('api')})",
            for_=down,
            severity="critical",
            summary="Immich does not run",
            description=f"No copy of the server has answered for {down}: nobody sees or uploads a photo. Look at its "
            "last lines of log. It ends by itself when the database or a marker file `.immich` is not there: never "
            "make a marker by hand, mount the volume that has it.",
            needs=needs("immich"),
        ),
        Alert(
            name="ImmichMicroservicesDown",
            expr=f"max(up{plan.select('microservices')}) == 0 or absent(up{plan.select('microservices')})",
            for_=down,
            severity="critical",
            summary="Immich's background work does not run",
            description="Uploads are taken, but get no thumbnail, no date and no place in search. Look at the last "
            "lines of log of the microservices, and whether the machine ended it for want of memory.",
            needs=needs("immich"),
        ),
        *_exporters(plan),
        Alert(
            name="ImmichMachineLearningDown",
            expr=f"max(probe_success{plan.select('machine-learning')}) == 0",
            for_="10m",
            severity="warning",
            summary="Machine learning does not answer",
            description="Search by content, faces and text in pictures stand still; all else works. Loading a model "
            "takes minutes, longer is a fault: look at its log, its memory and, with a GPU, the driver.",
            needs=needs("blackbox"),
        ),
        Alert(
            name="ImmichWorkloadUnavailable",
            expr=f"kube_deployment_status_replicas_available{plan.select()} "
            f"< kube_deployment_spec_replicas{plan.select()} "
            f"or kube_statefulset_status_replicas_ready{plan.select()} < kube_statefulset_replicas{plan.select()}",
            for_="15m",
            severity="warning",
            summary="{{ or $labels.deployment $labels.statefulset }} has {{ $value }} ready copies, fewer than wanted",
            description="`kubectl describe pod` says why: no node has room, an image cannot be pulled, a probe fails, "
            "a volume is not there. `make status` shows all parts at once.",
            needs=needs("kubernetes"),
        ),
        Alert(
            name="ImmichServerErrors",
            expr=f"{failed} / {every} > 0.05 and {failed} * 300 > 5",
            for_="10m",
            severity="warning",
            summary="{{ $value | humanizePercentage }} of the answers at the door {{ $labels.door }} are errors of the "
            "server",
            description="Statuses 500 to 599, as the proxy's access log or Traefik counts them. The server's log names "
            "each; the most common causes are a full volume, a database without free connections and machine learning "
            "that is away.",
            any_of=COUNTED,
        ),
        *(_slow(plan, counted.slow, burn) for burn in burns if counted is not None),
        Alert(
            name="ImmichVersionsDiffer",
            expr=f"count(count by (service_version) (target_info{plan.select(None, _IMMICH)})) > 1",
            for_="30m",
            severity="warning",
            summary="{{ $value }} versions of Immich run at the same time",
            description="An upgrade stopped half way: browsers get pages of one version and data of another. "
            "`make status` shows which part is behind; `make up` finishes it.",
            needs=needs("immich"),
        ),
    ]


_IMMICH = 'service_name="immich"'


def _exporters(plan: MonitoringPlan) -> list[Alert]:
    jobs: list[Job] = [
        job for job, sources in EXPORTERS.items() if job != "microservices" and plan.sources & sources
    ]
    if not jobs:
        return []
    names = "|".join(plan.jobs[job] for job in jobs)
    watching = plan.select(None, f'job=~"{names}"')
    # DCGM is scraped by the cluster's own job.
    gone = [f"absent(up{plan.select(job)})" for job in jobs if job != "gpu"]
    # When no copy's exporter answers, the proxy is what does not: ImmichProxyDown.
    proxy = f" unless on (job) max by (job) (up{plan.select('nginx')}) == 0" if "nginx" in jobs else ""
    return [
        Alert(
            name="ImmichExporterDown",
            expr=" or ".join([f"up{watching} == 0{proxy}", *gone]),
            for_="15m",
            severity="warning",
            summary="Nothing is known any more about {{ $labels.job }}",
            description="Its exporter does not answer, or is no longer asked: alerts that need it cannot ring. Look "
            "at the page of targets in Prometheus for the reason.",
            any_of=frozenset[Source]().union(*EXPORTERS.values()),
        )
    ]


@dataclass(frozen=True, kw_only=True, slots=True)
class _Burn:
    """How fast what may be slow is used up: over a long time, and still."""

    name: str
    severity: Severity
    for_: str
    long: str
    short: str
    rate: float
    """Times the pace at which it lasts for 30 days."""


def _slow(plan: MonitoringPlan, seconds: float, burn: _Burn) -> Alert:
    limit = f"{burn.rate * MAY_BE_SLOW:g}"
    here = plan.recorded()
    hours = 30 * 24 / burn.rate
    last = f"{hours:.0f} hours" if hours < 72 else f"{hours / 24:.0f} days"
    return Alert(
        name=burn.name,
        expr=f"immich:http_slow:ratio_rate{burn.long}{here} > {limit} "
        f"and immich:http_slow:ratio_rate{burn.short}{here} > {limit} "
        # A handful of requests at night says nothing.
        f"and on (door) sum by (door) (avg_over_time(immich:http_requests:rate5m{here}[{burn.long}])) * 3600 > 100",
        for_=burn.for_,
        severity=burn.severity,
        summary="{{ $value | humanizePercentage }} of the answers at the door {{ $labels.door }} "
        f"within {burn.long} took over {seconds:g} s",
        description=f"Wanted are {1 - MAY_BE_SLOW:.0%} below {seconds:g} s over 30 days (GET, without playing of "
        "videos; nginx is asked when an answer began, Traefik when it ended); at this pace what may be slow in 30 days "
        f"is used up in {last}. Compare with the dashboards: the processor and queues (a scan or an import at work), "
        "the database's cache, the disk.",
        any_of=COUNTED,
    )


def queues(plan: MonitoringPlan) -> list[Alert]:
    """Is work being done."""
    thresholds = plan.thresholds
    learning = plan.recorded(f'queue=~"{"|".join(MACHINE_LEARNING_QUEUES)}"')
    waiting = f"sum(immich:queue_backlog:sum{learning})"
    paused = plan.recorded('state="paused"')
    seconds = thresholds.machine_learning_hours * 3600
    slow = "|".join(queue.name for queue in QUEUES if queue.slow)
    uncounted = "|".join(queue.name for queue in QUEUES if not queue.counted)
    quick = plan.recorded(f'queue!~"{slow}|{uncounted}|search"')
    slowly, blind = plan.recorded(f'queue=~"{slow}"'), plan.recorded(f'queue=~"{uncounted}"')
    return [
        Alert(
            name="ImmichMachineLearningBacklog",
            # Done within the hours: what goes away in a second, times their seconds, is more than what waits.
            expr=f"{waiting} > {thresholds.machine_learning_queue} "
            f"unless on () (-deriv(({waiting})[30m:1m]) * {seconds} > {waiting})",
            for_="30m",
            severity="warning",
            summary="{{ $value | humanize }} jobs wait for machine learning",
            description=f"More than {thresholds.machine_learning_queue}, and at the pace of the last half hour they "
            f"will not be done in {thresholds.machine_learning_hours} hours. After a large import this passes by "
            "itself. Else see whether machine learning answers, whether it really uses its GPU, and raise "
            "`machineLearning` resources or the concurrency of its jobs.",
            needs=needs("valkey"),
        ),
        *(
            Alert(
                name=name,
                expr=f"immich:queue_backlog:sum{which} > 0 "
                f"unless on (queue) changes(immich:queue_finished:sum{plan.recorded()}[{window}]) > 0",
                for_=window,
                severity="warning",
                summary="{{ $value | humanize }} jobs wait in {{ $labels.queue }} and none was finished",
                description=f"Not one job of this queue ended within {window}. In Administration, Jobs, see whether "
                "it is paused; look at the log of the microservices for the job at which it hangs; restarting the "
                "microservices loses no job.",
                needs=needs("valkey", "immich"),
            )
            for name, which, window in (
                ("ImmichQueueStuck", quick, "30m"),
                ("ImmichSlowQueueStuck", slowly, "6h"),
            )
        ),
        Alert(
            name="ImmichQueuePaused",
            expr=f"sum by (queue) (immich:queue_jobs:sum{paused}) > 0",
            for_="1d",
            severity="info",
            summary="{{ $labels.queue }} has been paused for a day with {{ $value | humanize }} jobs",
            description="Somebody paused it in Administration, Jobs. Resume it there, or silence this.",
            needs=needs("valkey"),
        ),
        Alert(
            name="ImmichJobsFail",
            expr=f"increase(immich:queue_failed:sum{plan.recorded()}[1h]) > {thresholds.failed_jobs} "
            f"and on (queue) (increase(immich:queue_failed:sum{plan.recorded()}[1h]) "
            f"> 0.1 * increase(immich:queue_finished:sum{plan.recorded()}[1h]) "
            # Of these only failures are counted, so that a share would always be all.
            f"unless on (queue) immich:queue_failed:sum{blind} "
            f"or increase(immich:queue_failed:sum{blind}[1h]) > {10 * thresholds.failed_jobs})",
            for_="10m",
            severity="warning",
            summary="{{ $value | humanize }} jobs of {{ $labels.queue }} failed within an hour",
            description="More than a tenth of this queue's jobs, or, where Immich counts only what fails, ten times as "
            "many as would be told otherwise. The log of the microservices names each with its "
            "reason: a file that cannot be read, machine learning away, a full volume, hardware that refuses to "
            "transcode. What failed is done again with `Missing` in Administration, Jobs.",
            needs=needs("immich"),
        ),
    ]
