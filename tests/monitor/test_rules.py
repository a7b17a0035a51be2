"""The alert rules, judged by Prometheus' own tool."""

import json
import shutil
import subprocess
from pathlib import Path

import pytest

RULES = Path(__file__).resolve().parent.parent.parent / "contrib/ingestd.rules.yml"
PROMTOOL = shutil.which("promtool")

pytestmark = pytest.mark.skipif(PROMTOOL is None, reason="needs promtool, of Debian's package prometheus")

# What is seen every minute, when, and the alerts that it sets off. `axb` is Prometheus' own: a, then b more each time.
CASES = [
    ({'up{job="ingestd"}': "0x10"}, "6m", ["IngestdDown"]),
    ({'up{job="ingestd"}': "1x10"}, "6m", []),
    ({"ingestd_ready": "1x3 0x10"}, "10m", ["IngestdNotReady"]),
    ({"ingestd_ready": "1x3 0x2 1x10"}, "10m", []),
    ({"ingestd_db_up": "0x5"}, "3m", ["IngestdDatabaseDown"]),
    ({'ingestd_messages_total{outcome="deferred",origin="lmtp"}': "0+1x40"}, "30m", ["IngestdDeferring"]),
    ({'ingestd_messages_total{outcome="deferred",origin="lmtp"}': "0x5 1x40"}, "40m", []),
    ({"ingestd_quarantined_mails": "1x70"}, "65m", ["IngestdQuarantine"]),
    ({"ingestd_queue_mails": "95x20", "ingestd_queue_mails_limit": "100x20"}, "15m", ["IngestdQueueFull"]),
    ({"ingestd_queue_bytes": "95x20", "ingestd_queue_bytes_limit": "100x20"}, "15m", ["IngestdQueueFull"]),
    ({"ingestd_queue_mails": "9x20", "ingestd_queue_mails_limit": "100x20"}, "15m", []),
    ({"ingestd_oldest_waiting_seconds": "40x5"}, "3m", ["IngestdSlowCommit"]),
    (
        {
            'ingestd_smtp_sessions{protocol="lmtp"}': "400x20",
            'ingestd_smtp_sessions{protocol="smtp"}': "100x20",
            "ingestd_smtp_sessions_limit": "500x20",
        },
        "15m",
        ["IngestdConnectionsFull"],
    ),
    ({"ingestd_last_commit_timestamp_seconds": "1x1500"}, "1450m", ["IngestdNoMail"]),
    ({"ingestd_last_commit_timestamp_seconds": "0x1500"}, "1450m", []),
    ({'ingestd_reloads_total{outcome="failed"}': "0x5 1x10"}, "8m", ["IngestdReloadFailed"]),
]


def _promtool(*arguments: str) -> None:
    assert PROMTOOL is not None
    result = subprocess.run([PROMTOOL, *arguments], capture_output=True, text=True, check=False)
    assert result.returncode == 0, result.stdout + result.stderr


def test_prometheus_takes_the_rules() -> None:
    _promtool("check", "rules", str(RULES))


def test_every_rule_is_tried() -> None:
    names = {line.split(": ")[1] for line in RULES.read_text().splitlines() if "- alert: " in line}
    assert {name for _, _, alerts in CASES for name in alerts} == names


@pytest.mark.parametrize("case", range(len(CASES)))
def test_what_sets_an_alert_off(case: int, tmp_path: Path) -> None:
    seen, at, alerts = CASES[case]
    names = [line.split(": ")[1] for line in RULES.read_text().splitlines() if "- alert: " in line]
    series = [{"series": _at_one_place(name), "values": values} for name, values in seen.items()]
    tests = [
        {
            "interval": "1m",
            "input_series": series,
            "promql_expr_test": [
                {
                    "expr": f'count(ALERTS{{alertname="{name}",alertstate="firing"}}) or vector(0)',
                    "eval_time": at,
                    "exp_samples": [{"labels": "{}", "value": int(name in alerts)}],
                }
                for name in names
            ],
        }
    ]
    # JSON is YAML.
    file = tmp_path / "tests.yml"
    file.write_text(json.dumps({"rule_files": [str(RULES)], "evaluation_interval": "1m", "tests": tests}))
    _promtool("test", "rules", str(file))


def _at_one_place(name: str) -> str:
    """The series with the label that tells daemons apart."""
    return name.replace("{", '{instance="a",') if "{" in name else f'{name}{{instance="a"}}'
