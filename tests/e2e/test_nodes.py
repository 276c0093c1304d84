"""Two nodes, each with a network of its own."""

from __future__ import annotations

import subprocess
from pathlib import Path

import pytest

from .kills import same_state
from .ranks import KILLED, LAST, befalling_env, run_ranks, write_befalling, write_leaf
from .tools import TOOLS, run

# Both in one user namespace, so that nobody has to be root; a cable between them.
_NODES = """
set -eu
unshare -n sleep 600 &
other=$!
trap 'kill $other' EXIT
until [ "$(readlink /proc/$other/ns/net)" != "$(readlink /proc/$$/ns/net)" ]; do sleep 0.1; done
ip link add name first0 type veth peer name second0
ip link set dev second0 netns $other
ip address add 10.77.0.1/24 dev first0
ip link set dev first0 up
ip link set dev lo up
nsenter -n -t $other ip address add 10.77.0.2/24 dev second0
nsenter -n -t $other ip link set dev second0 up
nsenter -n -t $other ip link set dev lo up
export NNODES=2 MASTER_ADDR=10.77.0.1 PORT=29511
NODE_RANK=0 "$@" >node0.log 2>&1 &
first=$!
NODE_RANK=1 nsenter -n -t $other "$@" >node1.log 2>&1 &
second=$!
wait $first && wait $second
"""


def _has_namespaces() -> bool:
    try:
        words = ['unshare', '-rn', 'ip', 'link', 'add', 'name', 'one0', 'type', 'veth', 'peer', 'name', 'two0']
        return subprocess.run(words, capture_output=True, check=False).returncode == 0
    except OSError:
        return False


@pytest.mark.slow
@pytest.mark.skipif(not _has_namespaces(), reason='needs network namespaces (unshare, ip)')
def test_two_nodes_are_restarted_where_a_process_of_one_is_killed(workplace: Path) -> None:
    whole = write_leaf(workplace)
    arguments = ('--seed', '7', '--work-dir')
    assert run_ranks('train', whole, *arguments, 'whole')[0] == [0, 0]
    leaf = write_befalling(workplace, (1, 5, KILLED))
    Path('nodes.sh').write_text(_NODES)
    command = ('unshare', '-rn', '--kill-child', 'bash', 'nodes.sh', TOOLS / 'dist_train.sh', leaf, '1')
    run(*command, *arguments, 'run', env=befalling_env(workplace, MAX_RESTARTS='1'), timeout=900)
    logs = [Path(f'node{node}.log').read_text() for node in (0, 1)]
    assert 'so it goes on by itself' in logs[0] and f'resuming from {workplace}/run/iter_4.pth' in logs[0]
    assert 'Traceback' not in logs[0] + logs[1]
    assert same_state(Path('whole', LAST), Path('run', LAST)) == []
