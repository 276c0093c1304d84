from __future__ import annotations

import os

import pytest

from moganet.engine import network
from moganet.engine.network import interface_of, name_interface, own_address


def test_a_machine_is_reached_where_it_reaches_others_from() -> None:
    assert own_address('127.0.0.2', 1) == '127.0.0.1'
    assert interface_of('127.0.0.1') == 'lo' and interface_of('192.0.2.1') is None


@pytest.mark.parametrize(
    ('given', 'address', 'named'),
    [
        ({'MASTER_ADDR': '10.0.0.1'}, '10.0.0.2', 'eth7'),
        ({'MASTER_ADDR': '10.0.0.1', 'GLOO_SOCKET_IFNAME': 'ib0'}, '10.0.0.2', 'ib0'),
        ({'MASTER_ADDR': 'this-machine'}, '127.0.0.1', None),  # by a name that says nothing to the others
        ({}, '10.0.0.2', None),
    ],
)
def test_gloo_listens_where_the_first_machine_can_reach_it(
    given: dict[str, str], address: str, named: str | None, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(os, 'environ', dict(given))
    monkeypatch.setattr(network, 'own_address', lambda other, port: address)
    monkeypatch.setattr(network, 'interface_of', lambda address: 'eth7')
    name_interface()
    assert os.environ.get('GLOO_SOCKET_IFNAME') == named


def test_a_name_that_is_not_known_is_left_to_who_connects_to_it(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(os, 'environ', {'MASTER_ADDR': 'no-such-machine.invalid'})
    name_interface()
    assert 'GLOO_SOCKET_IFNAME' not in os.environ
