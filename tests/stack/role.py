"""The role: its actions are the code's calls, mode by mode, and its conditions let through what they should."""

import json

from . import permissions
from .gates import check
from .template import stack

# Of the inline policies of a role, all together.
ROLE_POLICIES_MAX = 10_240
ACCOUNT = "111122223333"
INSTANCE = f"arn:aws:ec2:us-east-1:{ACCOUNT}:instance/i-0a1b2c3d4e5f60718"
NODE = f"arn:aws:ssm:us-east-1:{ACCOUNT}:managed-instance/mi-0a1b2c3d4e5f60718"
GROUP = f"arn:aws:autoscaling:us-east-1:{ACCOUNT}:autoScalingGroup:0d2a:autoScalingGroupName/prod"
CONTAINER_INSTANCE = f"arn:aws:ecs:us-east-1:{ACCOUNT}:container-instance/prod/0a1b"
CLUSTER = f"arn:aws:ecs:us-east-1:{ACCOUNT}:cluster/prod"
OPTED_IN = {"aws:ResourceTag/defib:managed": "true"}
OPTED_OUT = OPTED_IN | {"aws:ResourceTag/defib:mode": "off"}


def check_actions():
    _, source = permissions.operations()
    known_extra = set(permissions.WITHOUT_A_CALL)
    for mode in permissions.MODES:
        for probes in (False, True) if mode == "observe" else (False,):
            made = stack(mode, AllowProbes=str(probes).lower(), VolumeKeyArns="arn:aws:kms:us-east-1:111122223333:key/a",
                         TopicKmsKeyArn="arn:aws:kms:us-east-1:111122223333:key/b")
            have, need = permissions.allowed_actions(made.statements()) - known_extra, permissions.needed(mode, probes)
            words = f"mode {mode}{' with probes' if probes else ''}"
            check(f"{words} allows the {len(need)} actions of {source}, no more and no fewer", have == need,
                  f"too many: {sorted(have - need)}, too few: {sorted(need - have)}")
            text = json.dumps([one["Properties"]["PolicyDocument"] for one in made.of_type("AWS::IAM::Policy").values()],
                              separators=(",", ":"))
            check(f"its inline policies fit into a role ({len(text)} characters)", len(text) < ROLE_POLICIES_MAX)
    off = permissions.allowed_actions(stack("off").statements())
    check("mode off has what observe has, and sends nothing", off == permissions.allowed_actions(stack("observe").statements()))
    # The comparison sees an action that is dropped, and one that is added.
    statements = stack("replace").statements()
    for dropped in ("ssm:SendCommand", "ec2:StartInstances", "ecs:DeregisterContainerInstance", "ec2:DescribeInstances"):
        fewer = [one | {"Action": [a for a in permissions.as_list(one["Action"]) if a != dropped]} for one in statements]
        check(f"a role without {dropped} would be noticed",
              permissions.allowed_actions(fewer) - known_extra != permissions.needed("replace"))
    more = [*statements, {"Effect": "Allow", "Action": "ec2:TerminateInstances", "Resource": "*"}]
    check("a role with ec2:TerminateInstances would be noticed",
          permissions.allowed_actions(more) - known_extra != permissions.needed("replace"))


def document(made, kind):
    variables = made.resources["Function"]["Properties"]["Environment"]["Variables"]
    return f"arn:aws:ssm:us-east-1:{ACCOUNT}:document/{variables[f'DEFIB_{kind}_DOCUMENT']}"


def check_conditions():
    def may(made, action, *resources):
        return permissions.is_allowed(made.statements(), action, resources)

    observe, probes = stack("observe"), stack("observe", AllowProbes="true")
    restart, cycle, replace = stack("restart"), stack("cycle"), stack("replace")
    probe, repair = (document(observe, kind) for kind in ("PROBE", "REPAIR"))
    shell = "arn:aws:ssm:us-east-1::document/AWS-RunShellScript"
    send = "ssm:SendCommand"
    for name, wanted, made, action, *resources in (
        ("observe sends nothing", False, observe, send, (probe, {}), (INSTANCE, OPTED_IN)),
        ("observe with probes sends the probe to any node", True, probes, send, (probe, {}), (INSTANCE, {})),
        ("but not the repair", False, probes, send, (repair, {}), (INSTANCE, OPTED_IN)),
        ("and nothing to a node that was opted out", False, probes, send, (probe, {}), (INSTANCE, OPTED_OUT)),
        ("restart sends the repair to an instance that was opted in", True, restart, send, (repair, {}), (INSTANCE, OPTED_IN)),
        ("and to a managed node, by the key of Systems Manager", True, restart, send, (repair, {}),
         (NODE, {"ssm:resourceTag/defib:managed": "true"})),
        ("not to one that was not", False, restart, send, (repair, {}), (INSTANCE, {})),
        ("not to one with another value", False, restart, send, (repair, {}), (INSTANCE, {"aws:ResourceTag/defib:managed": "yes"})),
        ("not to one that was opted out, in any case", False, restart, send, (repair, {}),
         (INSTANCE, OPTED_IN | {"ssm:resourceTag/defib:mode": "OFF"})),
        ("never AWS-RunShellScript", False, replace, send, (shell, {}), (INSTANCE, OPTED_IN)),
        ("never a document of that name in another account", False, replace, send,
         (repair.replace(ACCOUNT, "999999999999"), {}), (INSTANCE, OPTED_IN)),
        ("restart does not reboot", False, restart, "ec2:RebootInstances", (INSTANCE, OPTED_IN)),
        ("cycle reboots an instance that was opted in", True, cycle, "ec2:RebootInstances", (INSTANCE, OPTED_IN)),
        ("not one that was not", False, cycle, "ec2:RebootInstances", (INSTANCE, {})),
        ("not one that was opted out", False, cycle, "ec2:StopInstances", (INSTANCE, OPTED_OUT)),
        ("not one that a provider manages", False, cycle, "ec2:StopInstances",
         (INSTANCE, OPTED_IN | {"ec2:ManagedResourceOperator": "ecs.amazonaws.com"})),
        ("nor starts that one", False, cycle, "ec2:StartInstances", (INSTANCE, {"ec2:ManagedResourceOperator": "x"})),
        ("cycle starts what it stopped, whatever the tags say by now", True, cycle, "ec2:StartInstances", (INSTANCE, OPTED_OUT)),
        ("and takes it out of Standby", True, cycle, "autoscaling:ExitStandby", (GROUP, OPTED_OUT)),
        ("Standby is entered where the group was opted in", True, cycle, "autoscaling:EnterStandby", (GROUP, OPTED_IN)),
        ("not where it was not", False, cycle, "autoscaling:EnterStandby", (GROUP, {})),
        ("not where it was opted out", False, cycle, "autoscaling:EnterStandby", (GROUP, OPTED_OUT)),
        ("cycle drains", True, cycle, "ecs:UpdateContainerInstancesState", (CONTAINER_INSTANCE, {"ecs:cluster": CLUSTER})),
        ("not where IAM cannot see the cluster", False, cycle, "ecs:UpdateContainerInstancesState", (CONTAINER_INSTANCE, {})),
        ("cycle does not terminate", False, cycle, "autoscaling:TerminateInstanceInAutoScalingGroup", (GROUP, OPTED_IN)),
        ("replace does, through the group", True, replace, "autoscaling:TerminateInstanceInAutoScalingGroup", (GROUP, OPTED_IN)),
        ("not where the group was not opted in", False, replace, "autoscaling:TerminateInstanceInAutoScalingGroup", (GROUP, {})),
        ("not where it was opted out", False, replace, "autoscaling:TerminateInstanceInAutoScalingGroup", (GROUP, OPTED_OUT)),
        ("and never past the group", False, replace, "ec2:TerminateInstances", (INSTANCE, OPTED_IN)),
        ("replace deregisters", True, replace, "ecs:DeregisterContainerInstance", (CLUSTER, {})),
        ("nothing of another account", False, replace, "ecs:DeregisterContainerInstance",
         (CLUSTER.replace(ACCOUNT, "999999999999"), {})),
        ("no mode writes another table", False, replace, "dynamodb:PutItem",
         (f"arn:aws:dynamodb:us-east-1:{ACCOUNT}:table/other", {})),
        ("no mode passes a role", False, replace, "iam:PassRole", (f"arn:aws:iam::{ACCOUNT}:role/a", {})),
    ):
        check(f"IAM: {name}", may(made, action, *resources) is wanted)
    one = stack("replace", EcsClusterArns=CLUSTER)
    other = CLUSTER.replace("prod", "other")
    check("IAM: a stack for one cluster drains that one", may(one, "ecs:UpdateContainerInstancesState",
          (CONTAINER_INSTANCE, {"ecs:cluster": CLUSTER})) and not may(one, "ecs:UpdateContainerInstancesState",
          (CONTAINER_INSTANCE, {"ecs:cluster": other})) and not may(one, "ecs:DeregisterContainerInstance", (other, {})))
    key = "arn:aws:kms:us-east-1:111122223333:key/a"
    via = {"kms:ViaService": "ec2.us-east-1.amazonaws.com"}
    keyed = stack("cycle", VolumeKeyArns=key)
    check("IAM: a grant on a volume's key is for EC2 alone",
          may(keyed, "kms:CreateGrant", (key, via | {"kms:GrantIsForAWSResource": "true"}))
          and not may(keyed, "kms:CreateGrant", (key, via))
          and not may(stack("restart", VolumeKeyArns=key), "kms:CreateGrant", (key, via | {"kms:GrantIsForAWSResource": "true"})))


ALL = (check_actions, check_conditions)
