"""What operators do with the command line, on the stack that end to end deploys: `fix`, `incidents`, `show`, and the words to the function."""

import json
import os
import subprocess

from standins import ACCOUNT, BINARIES, REGION, check, wait_for

REFUSED, FINDINGS = 4, 3


class Desk:
    """Somebody at the command line."""

    def __init__(self, cloud, fleet):
        nodes = {f"AWS_ENDPOINT_URL_{name}": fleet.url for name in ("SSM", "EC2", "ECS", "AUTO_SCALING", "IAM")}
        kept = {key: value for key, value in os.environ.items() if not key.startswith(("AWS_", "DEFIB_"))}
        self.env = kept | nodes | {
            "AWS_ENDPOINT_URL": cloud.url, "AWS_REGION": REGION, "AWS_ACCESS_KEY_ID": ACCOUNT, "AWS_SECRET_ACCESS_KEY": "test",
        }

    def says(self, *words):
        """(exit code, the lines of the result, what was said beside it)."""
        ran = subprocess.run([BINARIES / "defib", "--no-color", *words], env=self.env, capture_output=True, text=True, check=False, timeout=120)
        return ran.returncode, ran.stdout.splitlines(), ran.stderr.strip()

    def tells(self, *words):
        """The same for programs: (exit code, objects, what was said beside it)."""
        code, lines, aside = self.says("--json", *words)
        return code, [json.loads(line) for line in lines], aside


def fix(cloud, fleet, ear, node):
    """A repair that a person asks for: first the plan, then the approval that is bound to it, then the proof."""
    desk = Desk(cloud, fleet)
    code, plans, aside = desk.tells("fix", node)
    plan = plans[0] if plans else {}
    check("fix: the plan names the next remedy, and nothing stands in its way",
          code == 0 and plan.get("next") == "reboot" and plan.get("refusal") is None, (code, plan, aside))
    check("fix: a plan alone touches nothing", not fleet.landed(node), fleet.landed(node))
    code, answers, aside = desk.tells("fix", node, "--approve", "--by", "a person")
    begun = answers[-1].get("incident_id") if answers else None
    check("fix: with --approve it begins as an incident", code == 0 and begun and begun.endswith(node), (code, answers, aside))
    code, rows, aside = desk.tells("incidents")
    listed = [row for row in rows if row["incident_id"] == begun]
    check("incidents: it is in the list", code == 0 and len(listed) == 1 and listed[0]["node_id"] == node, (code, rows, aside))
    told = wait_for("the repair's report", lambda: [message["outcome"] for message in ear.about(node)], 900)
    check("fix: cycled, told once", told == ["cycled"], told)
    check("fix: one reboot", fleet.landed(node).count("reboot") == 1, fleet.landed(node))
    code, lines, aside = desk.says("show", begun or "none", "--evidence")
    text = "\n".join(lines)
    check("show: its history, who asked for it, and what the console said before the reboot",
          code == 0 and "cycled" in text and "a person" in text and "console:" in text and "Linux" in text, (code, text, aside))
    code, records, aside = desk.tells("show", begun or "none")
    check("show: the whole record for programs", code == 0 and records and records[0]["id"] == begun and "schema" in records[0],
          (code, records, aside))
    code, rows, aside = desk.tells("incidents", "--all")
    row = next((row for row in rows if row["incident_id"] == begun), {})
    check("incidents --all: also what has ended, and a newer version's record is named beside it",
          code == 0 and row.get("outcome") == "cycled" and row.get("remedies") == ["reboot"] and "newer version" in aside, (code, row, aside))
    code, answers, _ = desk.tells("approve", begun or "none")
    check("approve: nothing waits for it any more", code == REFUSED and answers[0]["ok"] is False, (code, answers))
    code, lines, _ = desk.says("fix", node)
    check("fix: a well node needs none", code == 0 and "well" in "\n".join(lines), (code, lines))


def words(cloud, fleet, resting, ill):
    """Switches, and the end of what rests."""
    desk = Desk(cloud, fleet)
    code, lines, aside = desk.says("mute", ill, "--for", "10m")
    check("mute: done", code == 0 and "muted" in "\n".join(lines), (code, lines, aside))
    code, plans, aside = desk.tells("fix", ill)
    check("fix: a muted node is refused", code == REFUSED and "mute" in (plans[0].get("refusal") or ""), (code, plans, aside))
    code, lines, aside = desk.says("unmute", ill)
    check("unmute: done", code == 0, (code, lines, aside))
    code, plans, aside = desk.tells("fix", ill)
    check("fix: a cause that nothing on the host removes needs a person", code == 5 and plans[0]["next"] is None
          and plans[0]["cause"] == "identity.no-instance-profile" and plans[0]["advice"], (code, plans, aside))
    check("clear: done", desk.says("clear", ill)[0] == 0)
    check("pause: done", desk.says("pause")[0] == 0)
    switch = cloud.table("account").get("switch")
    check("pause: the ledger knows", switch == {"paused": True}, switch)
    code, answers, aside = desk.tells("fix", ill)
    check("fix: refused while paused", code == REFUSED and "paused" in answers[0].get("refusal", ""), (code, answers, aside))
    _, lines, _ = desk.tells("doctor")
    paused = next((line for line in lines if line["check"] == "switch"), {})
    check("doctor: says that it is paused", paused.get("verdict") == "WARN", paused)
    check("resume: done", desk.says("resume")[0] == 0 and cloud.table("account")["switch"] == {"paused": False})
    open_ids = [row["incident_id"] for row in desk.tells("incidents")[1] if row["node_id"] == resting]
    check("incidents: what waits for a person is open", len(open_ids) == 1, open_ids)
    if open_ids:
        code, lines, aside = desk.says("close", open_ids[0], "--by", "a person")
        check("close: done", code == 0, (code, lines, aside))
        check("close: it is open no more", resting not in cloud.table("open"))
    code, lines, aside = desk.says("show", f"inc-20261101T000000Z-{ill}")
    check("show: an id that nobody knows is an error", code == 1 and "no inc-" in aside, (code, lines, aside))
    code, lines, aside = desk.says("incidents", "--function", "nobody")
    check("a function that is not there is an error with its name", code == 1 and "nobody" in aside, (code, lines, aside))


def doctor(cloud, fleet, dead_letters):
    """The deployment itself."""
    code, lines, aside = Desk(cloud, fleet).tells("doctor")
    verdicts = {line["check"]: line for line in lines}
    check("doctor: the function, the switch, the subscription and the timers are well",
          all(verdicts.get(name, {}).get("verdict") == "OK" for name in ("function", "mode", "intake", "switch", "topic", "sweep", "timers")),
          (lines, aside))
    letters = verdicts.get("dead letters", {})
    check("doctor: dead letters are found, with a fix", letters.get("verdict") == ("FAIL" if dead_letters else "OK")
          and (letters.get("fix") or not dead_letters), letters)
    check("doctor: exit code 3 says that something was found", code == FINDINGS, code)
    read = not any(verdicts.get(name, {}).get("verdict") == "UNKNOWN" for name in ("ledger", "incidents"))
    check("doctor: the ledger was read, and nothing is held", read and "held" not in verdicts, lines)
