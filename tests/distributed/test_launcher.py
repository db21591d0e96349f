"""What launchers say is understood, and what is inconsistent is refused with a hint."""

from __future__ import annotations

import pytest

from initctl.distributed.launcher import Launch, first_host, launched
from initctl.errors import ConflictError

TORCHRUN = {"RANK": "3", "WORLD_SIZE": "4", "LOCAL_RANK": "1", "MASTER_ADDR": "node1", "MASTER_PORT": "29400"}
SLURM = {
    "SLURM_JOB_ID": "1234",
    "SLURM_STEP_ID": "0",
    "SLURM_PROCID": "1",
    "SLURM_STEP_NUM_TASKS": "2",
    "SLURM_STEP_NODELIST": "gpu[007-008]",
}
OPEN_MPI = {
    "OMPI_COMM_WORLD_RANK": "2",
    "OMPI_COMM_WORLD_SIZE": "4",
    "OMPI_COMM_WORLD_LOCAL_SIZE": "4",
    "PMIX_NAMESPACE": "prterun-1@1",
}
MPICH = {"PMI_RANK": "0", "PMI_SIZE": "2"}


def place(launch: Launch | None) -> tuple[str, int, int, str]:
    assert launch
    assert 1024 < launch.port < 2**16
    return launch[:4]


@pytest.mark.parametrize(
    "environ",
    [
        {},
        {"WORLD_SIZE": "1", "RANK": "0"},
        {"SLURM_JOB_ID": "5", "SLURM_PROCID": "0", "SLURM_NTASKS": "4"},  # a batch script, which is no task of a step
        {**SLURM, "SLURM_STEP_NUM_TASKS": "1"},
        {"SLURM_ARRAY_TASK_ID": "3", "SLURM_ARRAY_TASK_COUNT": "8"},
        {"JOB_COMPLETION_INDEX": "3"},  # Kubernetes
        {"RANK": "1"},
        {"PMI_RANK": "0", "PMI_SIZE": "1"},
    ],
)
def test_a_process_is_alone_unless_several_were_started(environ: dict[str, str]):
    assert launched(environ) is None


def test_torchrun_says_where_the_ranks_meet():
    assert launched(TORCHRUN) == ("torchrun", 3, 4, "node1", 29400, "WORLD_SIZE")


def test_torchrun_inside_of_a_task_of_slurm_counts():
    assert launched({**SLURM, **TORCHRUN}) == launched(TORCHRUN)


def test_ranks_of_slurm_meet_at_the_first_node():
    assert place(launched(SLURM)) == ("srun", 1, 2, "gpu007")


def test_ranks_of_one_run_meet_at_one_port_and_those_of_another_run_at_another():
    port = launched(SLURM).port
    assert launched({**SLURM, "SLURM_PROCID": "0"}).port == port
    assert launched({**SLURM, "SLURM_STEP_ID": "1"}).port != port


def test_ranks_of_mpirun_on_one_machine_need_no_address():
    assert place(launched(OPEN_MPI)) == ("mpirun", 2, 4, "127.0.0.1")


def test_an_address_that_is_set_counts_for_every_launcher():
    there = {"MASTER_ADDR": "node5", "MASTER_PORT": "4000"}
    for environ in (SLURM, OPEN_MPI, MPICH):
        assert launched({**environ, **there})[3:5] == ("node5", 4000)


@pytest.mark.parametrize(
    ("environ", "message"),
    [
        ({"WORLD_SIZE": "2"}, "WORLD_SIZE is 2, but RANK is not set; unset WORLD_SIZE if this process is alone"),
        ({"WORLD_SIZE": "2", "RANK": "2"}, "WORLD_SIZE is 2, but RANK is 2;"),
        ({"WORLD_SIZE": "two"}, "WORLD_SIZE is two, which is not a number; unset WORLD_SIZE"),
        ({"WORLD_SIZE": "2", "RANK": "0"}, "this is rank 0 of 2, but MASTER_ADDR and MASTER_PORT do not say where"),
        ({"WORLD_SIZE": "2", "RANK": "0", "MASTER_ADDR": "a"}, "this is rank 0 of 2, but MASTER_ADDR and MASTER_PORT"),
        ({**OPEN_MPI, "OMPI_COMM_WORLD_LOCAL_SIZE": "2"}, "this is rank 2 of 4, but MASTER_ADDR and MASTER_PORT"),
        (MPICH, "this is rank 0 of 2, but MASTER_ADDR and MASTER_PORT"),
    ],
)
def test_what_is_inconsistent_is_refused(environ: dict[str, str], message: str):
    with pytest.raises(ConflictError) as caught:
        launched(environ)
    assert str(caught.value).startswith(message)


@pytest.mark.parametrize(
    ("nodes", "first"),
    [
        ("node1", "node1"),
        ("node1,node2", "node1"),
        ("node[3-5]", "node3"),
        ("node[03,07-09],other", "node03"),
        ("rack[2-3]-a", "rack2-a"),
        ("a-1,b[1-2]", "a-1"),
        ("n[1-2].cluster,m1", "n1.cluster"),
    ],
)
def test_the_first_host_of_slurms_lists_is_found(nodes: str, first: str):
    assert first_host(nodes) == first
