#!/usr/bin/env python3
"""The simulated account's door beside moto: the same calls of the same SDK, and answers of the same shape.

Starts moto's server and `defib fleet` on free ports of 127.0.0.1, sets up three machines in a cluster and a group in
both, makes each call against both, and compares which fields there are, of which types, and the codes of errors. Every
difference stands in a table below with its reason; one that is not there fails the test, and so does one that is there
no more. Operations that moto does not know are checked against the SDK's own service model. Neither side is the truth:
that would be a real account.

Prints a line a check and ends with `N passed, N failed`. Exit code: 0, 1 when a check failed, 77 when moto is not
there.
"""

import argparse
import fnmatch
import json
import logging
import os
import subprocess
import sys
import tempfile
import urllib.request
from datetime import datetime
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
TARGET = (ROOT / os.environ.get("CARGO_TARGET_DIR", "target")).resolve()
SKIPPED = 77
REGION = "us-east-1"
SERVICES = ("ssm", "ec2", "ecs", "autoscaling", "iam")

# Why two answers may differ. moto's answer is no proof of AWS's, and neither is ours.
UNREAD = "Defib reads none of it, so the door leaves it out"
FULLER = "AWS documents the field; moto leaves it out"
STATE = "depends on what stands in the account, and that is not the same on both sides"
ODD = "moto fills the list with elements that AWS does not send"

# operation: (side, path or pattern, reason); side is `moto` for what only moto answers, `door` for what only the door
# does, `type` for fields of another type.
INSTANCE = [
    ("door", "Reservations[].Instances[].CapacityReservationSpecification.*", FULLER),
    ("door", "Reservations[].Instances[].ClientToken", FULLER),
    ("door", "Reservations[].Instances[].EnaSupport", FULLER),
    ("door", "Reservations[].Instances[].EnclaveOptions.Enabled", FULLER),
    ("door", "Reservations[].Instances[].HibernationOptions.Configured", FULLER),
    ("door", "Reservations[].Instances[].IamInstanceProfile.*", "moto forgets the profile of a launch template"),
    ("door", "Reservations[].Instances[].Operator.Managed", FULLER),
    ("door", "Reservations[].Instances[].PlatformDetails", FULLER),
    ("door", "Reservations[].Instances[].PublicDnsName", "empty on AWS without a public address; not there on moto"),
    ("door", "Reservations[].Instances[].UsageOperation", FULLER),
    ("moto", "Reservations[].Instances[].NetworkInterfaces[].Association", STATE),
    ("moto", "Reservations[].Instances[].NetworkInterfaces[].Attachment.NetworkCardIndex", UNREAD),
    ("moto", "Reservations[].Instances[].NetworkInterfaces[].Ipv6Addresses[]", UNREAD),
    ("moto", "Reservations[].Instances[].Platform", "moto's image is one of Windows"),
    ("moto", "Reservations[].Instances[].SriovNetSupport", UNREAD),
    ("moto", "Reservations[].Instances[].StateReason.*", "AWS gives a running instance none; moto gives an empty one"),
]
CONTAINER_INSTANCE = [
    ("door", "containerInstance*attachments[]", FULLER),
    ("door", "containerInstance*capacityProviderName", STATE),
    ("door", "containerInstance*tags[]*", STATE),
    ("door", "containerInstance*version", FULLER),
]
ACTIVITY = [
    ("door", "Activit*.Details", FULLER),
    ("moto", "Activit*.EndTime", "moto's activities end at once; here they take their time, as they do on AWS"),
]
SHAPES = {
    "send_command": [
        ("door", "Command.CloudWatchOutputConfig.*", FULLER),
        ("door", "Command.DocumentVersion", FULLER),
        ("type", "Command.NotificationConfig.NotificationEvents[]", ODD),
    ],
    "get_command_invocation": [
        ("door", "CloudWatchOutputConfig.*", FULLER),
        ("door", "DocumentVersion", FULLER),
        ("door", "StandardErrorUrl", FULLER),
    ],
    "describe_instances": INSTANCE,
    "describe_instance_status": [
        ("door", "InstanceStatuses[].AttachedEbsStatus.*", FULLER),
        ("door", "InstanceStatuses[].Events[]", FULLER),
        ("door", "InstanceStatuses[].Operator.Managed", FULLER),
    ],
    "describe_instance_types": [
        ("moto", "InstanceTypes[].EbsInfo.*", UNREAD),
        ("moto", "InstanceTypes[].InstanceStorageInfo.*", UNREAD),
        ("moto", "InstanceTypes[].NetworkInfo.*", UNREAD),
        ("moto", "InstanceTypes[].Nitro*", UNREAD),
        ("moto", "InstanceTypes[].PhcSupport", UNREAD),
        ("moto", "InstanceTypes[].PlacementGroupInfo.*", UNREAD),
        ("moto", "InstanceTypes[].ProcessorInfo.*", UNREAD),
        ("moto", "InstanceTypes[].RebootMigrationSupport", UNREAD),
        ("moto", "InstanceTypes[].SupportedBootModes[]", UNREAD),
        ("moto", "InstanceTypes[].SupportedInRegion", "a field of moto's own data, not of the API"),
        ("moto", "InstanceTypes[].VCpuInfo.Valid*", UNREAD),
    ],
    "describe_clusters": [
        ("door", "clusters[].capacityProviders[]", FULLER),
        ("door", "clusters[].defaultCapacityProviderStrategy[]", FULLER),
        ("door", "clusters[].statistics[]", FULLER),
    ],
    "describe_container_instances": CONTAINER_INSTANCE,
    "update_container_instances_state": [*CONTAINER_INSTANCE, ("type", "containerInstances[].attributes[]", ODD)],
    "deregister_container_instance": [*CONTAINER_INSTANCE, ("type", "containerInstance.attributes[]", ODD)],
    "describe_tasks": [
        ("door", "tasks[].attributes[]", FULLER),
        ("door", "tasks[].availabilityZone", FULLER),
        ("door", "tasks[].connectivity", FULLER),
        ("door", "tasks[].cpu", FULLER),
        ("door", "tasks[].createdAt", FULLER),
        ("door", "tasks[].enableExecuteCommand", FULLER),
        ("door", "tasks[].healthStatus", FULLER),
        ("door", "tasks[].memory", FULLER),
        ("door", "tasks[].overrides.*", FULLER),
        ("door", "tasks[].startedAt", FULLER),
        ("door", "tasks[].tags[]", FULLER),
        ("door", "tasks[].version", FULLER),
        ("moto", "tasks[].overrides", "the empty object in which the door has lists"),
        ("moto", "tasks[].stoppedReason", "AWS gives a running task none; moto gives an empty one"),
    ],
    "describe_services": [
        ("door", "services[].createdAt", FULLER),
        ("door", "services[].deploymentConfiguration.*", FULLER),
        ("door", "services[].enable*", FULLER),
        ("door", "services[].placement*", FULLER),
        ("moto", "services[].deployments[].platformFamily", UNREAD),
        ("moto", "services[].networkConfiguration", UNREAD),
        ("moto", "services[].taskSets[]", UNREAD),
    ],
    "describe_auto_scaling_groups": [("door", "AutoScalingGroups[].TrafficSources[]", FULLER)],
    "enter_standby": ACTIVITY,
    "exit_standby": ACTIVITY,
    "terminate_instance_in_auto_scaling_group": ACTIVITY,
    "get_role": [("door", "Role.Tags[]", FULLER), ("moto", "Role.RoleLastUsed", UNREAD)],
    "get_instance_profile": [("moto", "InstanceProfile.Roles[].RoleLastUsed", UNREAD)],
}

# operation and the name of a call: (moto's code, the door's code, reason).
NOTHING = "(no answer of AWS's kind)"
CODES = {
    ("send_command", "to a stranger"): ("ok", "InvalidInstanceId", "moto's SendCommand always succeeds"),
    ("get_command_invocation", "of nobody"): (
        "InvalidCommandId", "InvocationDoesNotExist", "AWS documents this one for ids that match no invocation"),
    ("get_command_invocation", "another step"): (
        "InvocationDoesNotExist", "InvalidPluginName", "AWS documents this one for a step that the document has not"),
    ("describe_instances", "no id"): (
        "InvalidInstanceID.NotFound", "InvalidInstanceID.Malformed", "moto does not look at the form of an id"),
    ("describe_instances", "unknown filter"): (NOTHING, "InvalidParameterValue", "moto breaks down"),
    ("list_container_instances", "no cluster"): ("ok", "ClusterNotFoundException", "moto lists nothing"),
    ("enter_standby", "below the minimum"): ("ok", "ValidationError", "moto does not look at the minimum"),
    ("terminate_instance_in_auto_scaling_group", "not there"): (NOTHING, "ValidationError", "moto breaks down"),
}

# In the door's account things take their time: before these calls it is let pass, in seconds.
WAITS = {("exit_standby", "one"): 60}

passed = failed = 0


def check(name, holds, seen=""):
    """One check, one line; what was seen is told when it does not hold."""
    global passed, failed
    passed, failed = passed + bool(holds), failed + (not holds)
    print(f"{'ok    ' if holds else 'FAILED'} {name}{'' if holds else f': {seen}'}", flush=True)


# --- The two sides --------------------------------------------------------------------------------------------------


class Side:
    """An endpoint with one client for each service."""

    def __init__(self, name, url):
        self.name, self.url, self.clients = name, url, {}
        config = botocore.config.Config(retries={"total_max_attempts": 1}, read_timeout=60)
        for service in SERVICES:
            self.clients[service] = boto3.client(service, endpoint_url=url, region_name=REGION, config=config,
                                                 aws_access_key_id="test", aws_secret_access_key="test")

    def call(self, service, operation, **arguments):
        """The answer, or the code of the error."""
        try:
            answer = getattr(self.clients[service], operation)(**arguments)
        except botocore.exceptions.ClientError as error:
            return error.response["Error"]["Code"]
        except (botocore.exceptions.BotoCoreError, botocore.parsers.ResponseParserError):
            return NOTHING
        answer.pop("ResponseMetadata")
        return answer

    def must(self, service, operation, **arguments):
        answer = self.call(service, operation, **arguments)
        if isinstance(answer, str):
            raise RuntimeError(f"{self.name}: {operation}: {answer}")
        return answer


def set_up_moto(side):
    """Three machines in a group and a cluster, one of them a container instance with a task."""
    role = {"Version": "2012-10-17", "Statement": [
        {"Effect": "Allow", "Principal": {"Service": "ec2.amazonaws.com"}, "Action": "sts:AssumeRole"}]}
    side.must("iam", "create_role", RoleName="node-role", AssumeRolePolicyDocument=json.dumps(role), Description="")
    side.must("iam", "create_instance_profile", InstanceProfileName="node-role")
    side.must("iam", "add_role_to_instance_profile", InstanceProfileName="node-role", RoleName="node-role")
    image = side.must("ec2", "describe_images")["Images"][0]["ImageId"]
    subnet = side.must("ec2", "describe_subnets")["Subnets"][0]["SubnetId"]
    template = side.must("ec2", "create_launch_template", LaunchTemplateName="nodes", LaunchTemplateData={
        "ImageId": image, "InstanceType": "m7g.large", "IamInstanceProfile": {"Name": "node-role"}})
    side.must("autoscaling", "create_auto_scaling_group", AutoScalingGroupName="prod-web-asg", MinSize=2, MaxSize=5,
              DesiredCapacity=3, VPCZoneIdentifier=subnet, Tags=[{
                  "Key": "defib:managed", "Value": "true", "PropagateAtLaunch": True}],
              LaunchTemplate={"LaunchTemplateId": template["LaunchTemplate"]["LaunchTemplateId"], "Version": "1"})
    members = side.must("autoscaling", "describe_auto_scaling_instances")["AutoScalingInstances"]
    ids = sorted(member["InstanceId"] for member in members)
    side.must("ecs", "create_cluster", clusterName="prod-web", tags=[{"key": "defib:managed", "value": "true"}])
    for one in ids:
        identity = json.dumps({"instanceId": one})
        side.must("ecs", "register_container_instance", cluster="prod-web", instanceIdentityDocument=identity)
    side.must("ecs", "register_task_definition", family="web", containerDefinitions=[
        {"name": "web", "image": "web", "memory": 128, "cpu": 128}])
    side.must("ecs", "create_service", cluster="prod-web", serviceName="prod-web-service", taskDefinition="web",
              desiredCount=3, launchType="EC2")
    side.must("ecs", "run_task", cluster="prod-web", taskDefinition="web", launchType="EC2")
    side.must("ssm", "put_parameter", Name="/defib/policy", Value="mode: cycle", Type="String", DataType="text")
    return ids


def the_world():
    """The same in the door's words."""
    tags = {"defib:managed": "true"}
    ids = [f"i-0a1b2c3d4e5f6071{digit}" for digit in "89a"]
    machines = [{"id": one, "tags": tags, "cluster": "prod-web", "group": "prod-web-asg"} for one in ids]
    machines[0] |= {"standalone": 1, "public_address_changes": True}
    machines.append({"id": "mi-0a1b2c3d4e5f60718", "tags": tags})
    return {"instances": machines, "groups": [{"name": "prod-web-asg", "min": 2, "max": 5}],
            "sessions": {ids[0]: 1}, "parameters": {"/defib/policy": "mode: cycle"}, "calendars": {"Freeze": []}}, ids


class Names:
    """What a side calls the things that the calls name."""

    def __init__(self, side, ids):
        self.side, self.ids = side, ids
        instances = side.must("ecs", "list_container_instances", cluster="prod-web")["containerInstanceArns"]
        told = side.must("ecs", "describe_container_instances", cluster="prod-web", containerInstances=instances)
        by_id = {one["ec2InstanceId"]: one["containerInstanceArn"] for one in told["containerInstances"]}
        self.container_instances = [by_id[one] for one in ids]
        self.tasks = side.must("ecs", "list_tasks", cluster="prod-web")["taskArns"]
        self.command = side.must("ssm", "send_command", InstanceIds=ids[:1], DocumentName="AWS-RunShellScript",
                                 Parameters={"commands": ["date"]}, Comment="inc-1")["Command"]["CommandId"]


# --- The calls ------------------------------------------------------------------------------------------------------

MISSING = "i-0aaaaaaaaaaaaaaaa"

# (service, operation, a name for the call, the arguments made from a side's names). Later calls change the account.
CALLS = [
    ("ssm", "send_command", "a script", lambda n: {
        "InstanceIds": n.ids[:1], "DocumentName": "AWS-RunShellScript", "Parameters": {"commands": ["date"]},
        "TimeoutSeconds": 60, "Comment": "inc-1"}),
    ("ssm", "send_command", "to a stranger", lambda n: {
        "InstanceIds": [MISSING], "DocumentName": "AWS-RunShellScript", "Parameters": {"commands": ["date"]}}),
    ("ssm", "get_command_invocation", "done", lambda n: {"CommandId": n.command, "InstanceId": n.ids[0]}),
    ("ssm", "get_command_invocation", "of nobody", lambda n: {
        "CommandId": "3f9a6d17-84c2-4b0e-a5d1-7c60e2b98f41", "InstanceId": n.ids[0]}),
    ("ssm", "get_command_invocation", "another step", lambda n: {
        "CommandId": n.command, "InstanceId": n.ids[0], "PluginName": "no-such-step"}),
    ("ssm", "get_parameter", "there", lambda n: {"Name": "/defib/policy"}),
    ("ssm", "get_parameter", "not there", lambda n: {"Name": "/defib/none"}),
    ("ssm", "list_tags_for_resource", "a stranger", lambda n: {
        "ResourceType": "ManagedInstance", "ResourceId": "mi-0aaaaaaaaaaaaaaaa"}),
    ("ec2", "describe_instances", "by id", lambda n: {"InstanceIds": n.ids[:2]}),
    ("ec2", "describe_instances", "by tag", lambda n: {"Filters": [
        {"Name": "tag:aws:autoscaling:groupName", "Values": ["prod-web-asg"]},
        {"Name": "instance-state-name", "Values": ["running"]}]}),
    ("ec2", "describe_instances", "nobody's tag", lambda n: {"Filters": [{"Name": "tag:no", "Values": ["x"]}]}),
    ("ec2", "describe_instances", "not there", lambda n: {"InstanceIds": [MISSING]}),
    ("ec2", "describe_instances", "no id", lambda n: {"InstanceIds": ["web-1"]}),
    ("ec2", "describe_instances", "unknown filter", lambda n: {"Filters": [{"Name": "colour", "Values": ["x"]}]}),
    ("ec2", "describe_instances", "ids and pages", lambda n: {"InstanceIds": n.ids[:1], "MaxResults": 5}),
    ("ec2", "describe_instance_status", "running", lambda n: {"InstanceIds": n.ids[:1]}),
    ("ec2", "describe_instance_status", "not there", lambda n: {"InstanceIds": [MISSING]}),
    ("ec2", "describe_instance_attribute", "stop protection", lambda n: {
        "InstanceId": n.ids[0], "Attribute": "disableApiStop"}),
    ("ec2", "describe_instance_attribute", "termination protection", lambda n: {
        "InstanceId": n.ids[0], "Attribute": "disableApiTermination"}),
    ("ec2", "describe_instance_attribute", "shutdown", lambda n: {
        "InstanceId": n.ids[0], "Attribute": "instanceInitiatedShutdownBehavior"}),
    ("ec2", "describe_instance_attribute", "unknown", lambda n: {"InstanceId": n.ids[0], "Attribute": "colour"}),
    ("ec2", "describe_instance_attribute", "not there", lambda n: {
        "InstanceId": MISSING, "Attribute": "disableApiStop"}),
    ("ec2", "describe_instance_types", "with disks", lambda n: {"InstanceTypes": ["m6gd.large"]}),
    ("ec2", "describe_instance_types", "unknown", lambda n: {"InstanceTypes": ["colour"]}),
    ("ec2", "get_console_output", "there", lambda n: {"InstanceId": n.ids[0]}),
    ("ec2", "get_console_output", "not there", lambda n: {"InstanceId": MISSING}),
    ("ec2", "reboot_instances", "there", lambda n: {"InstanceIds": n.ids[2:]}),
    ("ec2", "reboot_instances", "not there", lambda n: {"InstanceIds": [MISSING]}),
    ("ec2", "reboot_instances", "dry", lambda n: {"InstanceIds": n.ids[2:], "DryRun": True}),
    ("ec2", "stop_instances", "dry", lambda n: {"InstanceIds": n.ids[2:], "DryRun": True}),
    ("ec2", "start_instances", "dry", lambda n: {"InstanceIds": n.ids[2:], "DryRun": True}),
    ("ec2", "stop_instances", "not there", lambda n: {"InstanceIds": [MISSING]}),
    ("ec2", "start_instances", "not there", lambda n: {"InstanceIds": [MISSING]}),
    ("ec2", "start_instances", "running", lambda n: {"InstanceIds": n.ids[:1]}),
    ("ecs", "list_clusters", "all", lambda n: {}),
    ("ecs", "describe_clusters", "with tags", lambda n: {"clusters": ["prod-web"], "include": ["TAGS"]}),
    ("ecs", "describe_clusters", "not there", lambda n: {"clusters": ["none"]}),
    ("ecs", "list_container_instances", "all", lambda n: {"cluster": "prod-web"}),
    ("ecs", "list_container_instances", "no cluster", lambda n: {"cluster": "none"}),
    ("ecs", "describe_container_instances", "there", lambda n: {
        "cluster": "prod-web", "containerInstances": n.container_instances[:1], "include": ["TAGS"]}),
    ("ecs", "describe_container_instances", "not there", lambda n: {
        "cluster": "prod-web", "containerInstances": ["0123456789abcdef0123456789abcdef"]}),
    ("ecs", "describe_container_instances", "no cluster", lambda n: {
        "cluster": "none", "containerInstances": n.container_instances[:1]}),
    ("ecs", "list_tasks", "all", lambda n: {"cluster": "prod-web"}),
    ("ecs", "list_tasks", "no cluster", lambda n: {"cluster": "none"}),
    ("ecs", "describe_tasks", "there", lambda n: {"cluster": "prod-web", "tasks": n.tasks}),
    ("ecs", "describe_tasks", "no cluster", lambda n: {"cluster": "none", "tasks": n.tasks}),
    ("ecs", "describe_services", "there", lambda n: {"cluster": "prod-web", "services": ["prod-web-service"]}),
    ("ecs", "describe_services", "not there", lambda n: {"cluster": "prod-web", "services": ["none"]}),
    ("ecs", "describe_services", "no cluster", lambda n: {"cluster": "none", "services": ["prod-web-service"]}),
    ("ecs", "update_container_instances_state", "drain", lambda n: {
        "cluster": "prod-web", "containerInstances": n.container_instances[:1], "status": "DRAINING"}),
    ("ecs", "update_container_instances_state", "back", lambda n: {
        "cluster": "prod-web", "containerInstances": n.container_instances[:1], "status": "ACTIVE"}),
    ("ecs", "update_container_instances_state", "no such status", lambda n: {
        "cluster": "prod-web", "containerInstances": n.container_instances[:1], "status": "INACTIVE"}),
    ("ecs", "deregister_container_instance", "with tasks", lambda n: {
        "cluster": "prod-web", "containerInstance": n.container_instances[0]}),
    ("ecs", "deregister_container_instance", "by force", lambda n: {
        "cluster": "prod-web", "containerInstance": n.container_instances[0], "force": True}),
    ("autoscaling", "describe_auto_scaling_instances", "there", lambda n: {"InstanceIds": n.ids[:1]}),
    ("autoscaling", "describe_auto_scaling_instances", "not there", lambda n: {"InstanceIds": [MISSING]}),
    ("autoscaling", "describe_auto_scaling_groups", "there", lambda n: {"AutoScalingGroupNames": ["prod-web-asg"]}),
    ("autoscaling", "describe_auto_scaling_groups", "not there", lambda n: {"AutoScalingGroupNames": ["none"]}),
    ("autoscaling", "enter_standby", "one", lambda n: {
        "AutoScalingGroupName": "prod-web-asg", "InstanceIds": n.ids[:1], "ShouldDecrementDesiredCapacity": True}),
    ("autoscaling", "enter_standby", "below the minimum", lambda n: {
        "AutoScalingGroupName": "prod-web-asg", "InstanceIds": n.ids[1:2], "ShouldDecrementDesiredCapacity": True}),
    ("autoscaling", "exit_standby", "one", lambda n: {
        "AutoScalingGroupName": "prod-web-asg", "InstanceIds": n.ids[:1]}),
    ("autoscaling", "terminate_instance_in_auto_scaling_group", "one", lambda n: {
        "InstanceId": n.ids[2], "ShouldDecrementDesiredCapacity": False}),
    ("autoscaling", "terminate_instance_in_auto_scaling_group", "not there", lambda n: {
        "InstanceId": MISSING, "ShouldDecrementDesiredCapacity": False}),
    ("iam", "get_role", "there", lambda n: {"RoleName": "node-role"}),
    ("iam", "get_role", "not there", lambda n: {"RoleName": "none"}),
    ("iam", "get_instance_profile", "there", lambda n: {"InstanceProfileName": "node-role"}),
    ("iam", "get_instance_profile", "not there", lambda n: {"InstanceProfileName": "none"}),
    ("ec2", "stop_instances", "there", lambda n: {"InstanceIds": n.ids[1:2]}),
    ("ec2", "describe_instances", "after the stop", lambda n: {"InstanceIds": n.ids[1:2]}),
]

# What moto does not know, so that the door alone answers; the SDK's service model says what may stand there.
ALONE = [
    ("ssm", "describe_instance_information", {}),
    ("ssm", "get_connection_status", {"Target": "i-0a1b2c3d4e5f60718"}),
    ("ssm", "list_command_invocations", {"Details": True}),
    ("ssm", "describe_sessions", {"State": "Active"}),
    ("ssm", "get_calendar_state", {"CalendarNames": ["Freeze"]}),
    # moto knows no managed nodes whose tags it could list.
    ("ssm", "list_tags_for_resource", {"ResourceType": "ManagedInstance", "ResourceId": "mi-0a1b2c3d4e5f60718"}),
    ("ecs", "describe_container_instances", {
        "cluster": "prod-web", "include": ["CONTAINER_INSTANCE_HEALTH"]}),
    ("ecs", "get_task_protection", {"cluster": "prod-web"}),
    ("autoscaling", "describe_instance_refreshes", {"AutoScalingGroupName": "prod-web-asg"}),
]


# --- Shapes ---------------------------------------------------------------------------------------------------------


def shape(value, path=""):
    """Every path in an answer with its type; the elements of a list are one."""
    if isinstance(value, dict):
        found = {}
        for key, one in value.items():
            found |= shape(one, f"{path}.{key}" if path else key)
        return found or {path: "object"}
    if isinstance(value, list):
        found = {f"{path}[]": "list"}
        for one in value:
            found |= shape(one, f"{path}[]")
        return found
    kinds = ((bool, "boolean"), ((int, float), "number"), (str, "text"), (datetime, "time"))
    return {path: next((name for kind, name in kinds if isinstance(value, kind)), type(value).__name__)}


def differences(of_moto, of_door):
    """(side, path) of everything that is not the same."""
    left, right = shape(of_moto), shape(of_door)
    # An empty list says nothing of its elements.
    hollow = lambda paths, path: any(path.startswith(one) and not any(
        other != one and other.startswith(one) for other in paths) for one in paths if one.endswith("[]"))
    found = {("moto", path) for path in left.keys() - right.keys() if not hollow(right, path)}
    found |= {("door", path) for path in right.keys() - left.keys() if not hollow(left, path)}
    return found | {("type", path) for path in left.keys() & right.keys() if left[path] != right[path]}


def compare(moto_side, door_side, report):
    """Makes every call on both sides."""
    used_shapes, used_codes = set(), set()
    for service, operation, name, arguments in CALLS:
        if (operation, name) in WAITS:
            advance(door_side.side.url, WAITS[operation, name])
        answers = [names.side.call(service, operation, **arguments(names)) for names in (moto_side, door_side)]
        title = f"{operation}: {name}"
        if any(isinstance(answer, str) for answer in answers):
            codes = tuple(answer if isinstance(answer, str) else "ok" for answer in answers)
            known = CODES.get((operation, name))
            if codes[0] == codes[1]:
                check(f"{title}: {codes[0]}", True)
            else:
                used_codes.add((operation, name))
                both = f"{title}: moto {codes[0]}, door {codes[1]}"
                check(both, known and known[:2] == codes, f"the table has {known}")
            continue
        unknown = []
        for side, path in sorted(differences(*answers)):
            row = next((row for row in SHAPES.get(operation, []) if row[0] == side and fits(path, row[1])), None)
            if row:
                used_shapes.add((operation, *row[:2]))
            else:
                unknown.append(f"{side}: {path}")
        check(f"{title}: the same fields", not unknown, "; ".join(unknown) if not report else "\n" + "\n".join(unknown))
    stale = [row for operation, rows in SHAPES.items() for row in rows if (operation, *row[:2]) not in used_shapes]
    check("every difference in the table of shapes is one", not stale, stale)
    stale = CODES.keys() - used_codes
    check("every difference in the table of codes is one", not stale, stale)


def advance(url, secs):
    request = urllib.request.Request(f"{url}/_fleet/advance", data=json.dumps({"secs": secs}).encode())
    urllib.request.urlopen(request, timeout=30).close()


def fits(path, pattern):
    return fnmatch.fnmatchcase(path.replace("[]", "()"), pattern.replace("[]", "()"))


def alone(door):
    """The answers that have no counterpart: every field on the wire is one of the SDK's model."""
    for service, operation, arguments in ALONE:
        arguments = dict(arguments)
        if operation == "describe_container_instances":
            arguments["containerInstances"] = door.container_instances
        if operation == "get_task_protection":
            arguments["tasks"] = door.tasks
        client = door.side.clients[service]
        answer = door.side.call(service, operation, **arguments)
        check(f"{operation}: answered", isinstance(answer, dict), answer)
        if service == "autoscaling":
            continue
        # The SDK drops what it does not know, so the wire is read without it.
        model = client.meta.service_model.operation_model(client.meta.method_to_api_mapping[operation])
        wire = raw(door.side.url, client.meta.service_model.metadata["targetPrefix"], model.name, arguments)
        strange = list(strangers(wire, model.output_shape, ""))
        check(f"{operation}: nothing that the SDK's model does not know", not strange, strange)


def raw(url, prefix, operation, arguments):
    request = urllib.request.Request(url, data=json.dumps(arguments).encode(), headers={
        "Content-Type": "application/x-amz-json-1.1", "X-Amz-Target": f"{prefix}.{operation}"})
    with urllib.request.urlopen(request, timeout=30) as answer:
        return json.load(answer)


def strangers(value, model, path):
    """Fields of an answer on the wire that the service model does not have."""
    if model.type_name == "structure" and isinstance(value, dict):
        for key, one in value.items():
            if key not in model.members:
                yield f"{path}.{key}"
            else:
                yield from strangers(one, model.members[key], f"{path}.{key}")
    elif model.type_name == "list" and isinstance(value, list):
        for one in value:
            yield from strangers(one, model.member, f"{path}[]")


# --- The run --------------------------------------------------------------------------------------------------------


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--binary", default=str(TARGET / "release" / "defib"), help="the command line to test")
    parser.add_argument("--report", action="store_true", help="one difference a line, to write the table from")
    arguments = parser.parse_args()
    if not Path(arguments.binary).exists():
        print(f"there is no {arguments.binary}: build the command line first, or name it with --binary")
        return 1
    # What moto cannot do it tells in a long story; the checks tell it shortly.
    logging.disable(logging.CRITICAL)
    world, ids = the_world()
    server = moto.server.ThreadedMotoServer(ip_address="127.0.0.1", port=0, verbose=False)
    server.start()
    host, port = server.get_host_and_port()
    with tempfile.NamedTemporaryFile("w", suffix=".json") as file:
        json.dump(world, file)
        file.flush()
        process = subprocess.Popen([arguments.binary, "fleet", "--listen", "127.0.0.1:0", "--world", file.name],
                                   stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, text=True)
        try:
            url = process.stdout.readline().split()[-1]
            moto_side, door_side = Side("moto", f"http://{host}:{port}"), Side("door", url)
            of_moto = Names(moto_side, set_up_moto(moto_side))
            of_door = Names(door_side, ids)
            advance(url, 60)
            alone(of_door)
            compare(of_moto, of_door, arguments.report)
        finally:
            process.terminate()
            process.wait(30)
            server.stop()
    print(f"{passed} passed, {failed} failed")
    return 1 if failed else 0


if __name__ == "__main__":
    try:
        import boto3
        import botocore.config
        import botocore.exceptions
        import botocore.parsers
        import moto.server
    except ImportError as error:
        print(f"moto or boto3 is not installed: {error}")
        sys.exit(SKIPPED)
    sys.exit(main())
