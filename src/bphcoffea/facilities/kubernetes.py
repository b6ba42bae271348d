"""Clusters whose scheduler and workers are pods, started by Dask's operator for Kubernetes."""

from __future__ import annotations

import contextlib
import sys
import uuid
from collections.abc import Iterator
from typing import Any

from bphcoffea.errors import InputError
from bphcoffea.facilities.facility import Facility
from bphcoffea.facilities.options import kubernetes_spec, merged, one_line


@contextlib.contextmanager
def kubernetes_cluster(facility: Facility, fixed: int | None) -> Iterator[Any]:
    """Start a cluster of pods; `clusters.cluster` calls it.

    Raises
    ------
    InputError
        When Kubernetes or Dask's operator does not answer.
    RuntimeError
        When the scheduler does not start.
    """
    # names are of the whole namespace, where other people's clusters may be
    spec = kubernetes_spec(facility, f"bphcoffea-{uuid.uuid4().hex[:8]}", fixed)
    import httpx
    import kr8s
    from dask_kubernetes.exceptions import CrashLoopBackOffError, SchedulerStartupError
    from dask_kubernetes.operator import KubeCluster

    wanted = facility.workers
    try:
        # asked before: a KubeCluster that fails tries to delete itself when Python ends, and fails
        list(kr8s.get("daskclusters.kubernetes.dask.org", namespace=wanted.namespace))
    except (
        *(OSError, ValueError, kr8s.APITimeoutError, kr8s.NotFoundError, kr8s.ServerError),
        httpx.HTTPError,
    ) as error:
        raise InputError(
            f"{facility.name}: Kubernetes shows no DaskClusters ({one_line(error)}); does "
            "'kubectl get daskclusters' work here, and is Dask's operator installed?"
        ) from None
    options = merged(
        {"custom_cluster_spec": spec, "namespace": wanted.namespace, "quiet": True}, wanted.options
    )
    try:
        running = KubeCluster(**options)
    except (
        *(CrashLoopBackOffError, SchedulerStartupError, kr8s.ServerError, kr8s.NotFoundError),
        httpx.HTTPError,
    ) as error:
        raise RuntimeError(one_line(error)) from error
    print(
        f"{facility.name}: the scheduler asks for no certificates: other pods in the Kubernetes "
        "cluster can run code as you, unless a NetworkPolicy of the namespace forbids it",
        file=sys.stderr,
    )
    with running:
        if not fixed:
            running.adapt(minimum=wanted.minimum, maximum=wanted.maximum)
        yield running
