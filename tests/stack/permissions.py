"""Which AWS operations Defib calls in which mode, and what IAM says about a request, as far as the template uses it."""

import fnmatch
import re

from .template import ROOT

MODES = ("observe", "restart", "cycle", "replace")
OPERATIONS = ROOT / "src" / "aws" / "operations.rs"

# Until the code has its table, the list that was agreed on.
AGREED = {
    "observe": {
        "ssm": "DescribeInstanceInformation GetConnectionStatus ListCommandInvocations GetCommandInvocation "
               "DescribeSessions GetCalendarState GetParameter GetServiceSetting ListTagsForResource",
        "ec2": "DescribeInstances DescribeInstanceStatus DescribeInstanceAttribute DescribeInstanceTypes "
               "GetConsoleOutput DescribeVolumes DescribeVpcs DescribeVpcAttribute DescribeDhcpOptions DescribeSubnets "
               "DescribeSecurityGroups DescribeNetworkAcls DescribeRouteTables DescribeNatGateways "
               "DescribeVpcEndpoints DescribeNetworkInterfaces DescribeManagedPrefixLists GetManagedPrefixListEntries",
        "ecs": "ListClusters DescribeClusters ListContainerInstances DescribeContainerInstances ListTasks "
               "DescribeTasks DescribeServices GetTaskProtection",
        "autoscaling": "DescribeAutoScalingInstances DescribeAutoScalingGroups DescribeInstanceRefreshes",
        "iam": "GetInstanceProfile GetRole SimulatePrincipalPolicy",
        "dynamodb": "GetItem BatchGetItem Query UpdateItem PutItem DeleteItem TransactWriteItems",
        "states": "StartExecution DescribeExecution",
        "sns": "Publish",
    },
    "restart": {"ssm": "SendCommand"},
    "cycle": {
        "ecs": "UpdateContainerInstancesState",
        "ec2": "RebootInstances StopInstances StartInstances",
        "autoscaling": "EnterStandby ExitStandby",
    },
    "replace": {"ecs": "DeregisterContainerInstance", "autoscaling": "TerminateInstanceInAutoScalingGroup"},
}

# Operations that IAM knows by other names.
ACTIONS = {
    "dynamodb:TransactWriteItems": {"dynamodb:ConditionCheckItem", "dynamodb:DeleteItem", "dynamodb:PutItem",
                                    "dynamodb:UpdateItem"},
}
PREFIXES = {"sfn": "states", "stepfunctions": "states", "auto_scaling": "autoscaling"}

# What the role has although the code never calls it, and why.
WITHOUT_A_CALL = {
    "sqs:DeleteMessage": "Lambda polls the queue in the function's name",
    "sqs:GetQueueAttributes": "Lambda polls the queue in the function's name",
    "sqs:ReceiveMessage": "Lambda polls the queue in the function's name",
    "logs:CreateLogStream": "Lambda writes the log in the function's name",
    "logs:PutLogEvents": "Lambda writes the log in the function's name",
    "kms:Decrypt": "SNS needs it to publish to a topic under a customer key",
    "kms:GenerateDataKey": "SNS needs it to publish to a topic under a customer key",
    "kms:CreateGrant": "EC2 needs it to start an instance with volumes under a customer key",
}


def operations():
    """(service, operation, least mode) of everything that the code calls, and where that is known from."""
    if OPERATIONS.exists():
        found = re.findall(r'op!\(\s*"(\w+)",\s*"(\w+)",\s*(\w+)\s*,?\s*\)', OPERATIONS.read_text(encoding="utf-8"))
        table = [(service, name, mode.lower()) for service, name, mode in found]
        if not table or not {mode for _, _, mode in table} <= set(MODES):
            raise ValueError(f"src/aws/operations.rs has no table of op!(service, operation, mode): {table[:3]}")
        return table, "src/aws/operations.rs"
    agreed = [(service, name, mode) for mode, services in AGREED.items()
              for service, names in services.items() for name in names.split()]
    return agreed, "the agreed list"


def needed(mode, probes=False):
    """The IAM actions that the code needs in a mode."""
    reached, actions = MODES[: MODES.index(mode) + 1], set()
    for service, name, least in operations()[0]:
        # The probe is the one thing that mode observe may send, where AllowProbes says so.
        probe = name == "SendCommand" and probes
        if least in reached or probe:
            action = f"{PREFIXES.get(service, service)}:{name}"
            actions |= ACTIONS.get(action, {action})
    return actions


def as_list(value):
    return value if isinstance(value, list) else [value]


def allowed_actions(statements):
    """The actions that some statement allows."""
    return {action for one in statements if one["Effect"] == "Allow" for action in as_list(one["Action"])}


def condition_holds(condition, keys):
    """Whether a statement's condition holds for a request with these condition keys."""
    for operator, wanted in condition.items():
        for key, values in wanted.items():
            present, values = key in keys, [str(value) for value in as_list(values)]
            if operator == "Null":
                if (not present) != (values == ["true"]):
                    return False
                continue
            # A key that is not there fits nothing.
            have = keys.get(key)
            fits = {
                "StringEquals": lambda one: have == one,
                "StringEqualsIgnoreCase": lambda one: have.lower() == one.lower(),
                "Bool": lambda one: have.lower() == one.lower(),
                "ArnLike": lambda one: fnmatch.fnmatchcase(have, one),
            }[operator]
            if not present or not any(map(fits, values)):
                return False
    return True


def is_allowed(statements, action, resources):
    """Whether IAM lets a request through: each of its resources, an ARN with condition keys, needs an Allow and no Deny."""
    def some(effect, arn, keys):
        return any(one["Effect"] == effect
                   and any(fnmatch.fnmatchcase(action, pattern) for pattern in as_list(one["Action"]))
                   and any(fnmatch.fnmatchcase(arn, pattern) for pattern in as_list(one["Resource"]))
                   and condition_holds(one.get("Condition", {}), keys)
                   for one in statements)

    return all(some("Allow", arn, keys) and not some("Deny", arn, keys) for arn, keys in resources)
