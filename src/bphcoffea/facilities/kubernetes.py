"""Clusters whose scheduler and workers are pods, started by Dask's operator for Kubernetes."""

from __future__ import annotations

import contextlib
import logging
import uuid
from collections.abc import Iterator
from typing import TYPE_CHECKING

from bphcoffea.errors import FacilityError
from bphcoffea.facilities.facility import Facility
from bphcoffea.facilities.options import kubernetes_spec, merged, one_line

if TYPE_CHECKING:
    from dask_kubernetes.operator import KubeCluster

_log = logging.getLogger(__name__)


@contextlib.contextmanager
def kubernetes_cluster(facility: Facility, fixed: int | None) -> Iterator[KubeCluster]:
    """Start a cluster of pods; `fixed` is the number of workers, None if it follows the work.

    Raises
    ------
    FacilityError
        If Kubernetes or Dask's operator does not answer.
    RuntimeError
        If the scheduler does not start.
    """
    # a unique name, because other users may have clusters in the same namespace
    spec = kubernetes_spec(facility, f"bphcoffea-{uuid.uuid4().hex[:8]}", fixed)
    import httpx
    import kr8s
    from dask_kubernetes.exceptions import CrashLoopBackOffError, SchedulerStartupError
    from dask_kubernetes.operator import KubeCluster

    settings = facility.workers
    try:
        # checked first: a KubeCluster that fails also fails to delete itself when Python ends
        list(kr8s.get("daskclusters.kubernetes.dask.org", namespace=settings.namespace))
    except (
        *(OSError, ValueError, kr8s.APITimeoutError, kr8s.NotFoundError, kr8s.ServerError),
        httpx.HTTPError,
    ) as error:
        raise FacilityError(
            f"{facility.name}: Kubernetes shows no DaskClusters ({one_line(error)}); does "
            "'kubectl get daskclusters' work here, and is Dask's operator installed?"
        ) from None
    options = merged(
        {"custom_cluster_spec": spec, "namespace": settings.namespace, "quiet": True},
        settings.options,
    )
    try:
        running = KubeCluster(**options)
    except (
        *(CrashLoopBackOffError, SchedulerStartupError, kr8s.ServerError, kr8s.NotFoundError),
        httpx.HTTPError,
    ) as error:
        raise RuntimeError(one_line(error)) from error
    _log.warning(
        "%s: the scheduler asks for no certificates: other pods in the Kubernetes cluster can run "
        "code as you, unless a NetworkPolicy of the namespace forbids it",
        facility.name,
    )
    with running:
        if not fixed:
            running.adapt(minimum=settings.minimum, maximum=settings.maximum)
        yield running
