//! The simulated account's door from outside: a story for each service, over its own wire protocol.

#![cfg(feature = "cli")]
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::indexing_slicing, clippy::panic)] // So may helpers of tests.

#[path = "fleet/door.rs"]
mod door;
#[path = "fleet/draining.rs"]
mod draining;

use std::io::{BufRead, BufReader, Read, Write};
use std::net::TcpStream;
use std::process::{Command, Stdio};

use defib::event::read_value;
use defib::fleet::{Pause, Request};
use defib::time::after;
use jiff::Timestamp;
use proptest::prelude::*;
use serde_json::{Value, json};

use door::{Door, Xml};

const WEB: &str = "i-0a1b2c3d4e5f60718";
const OTHER: &str = "i-0a1b2c3d4e5f60719";
const THIRD: &str = "i-0a1b2c3d4e5f6071a";
const EC2: &str = "2016-11-15";
const GROUPS: &str = "2011-01-01";
const IAM: &str = "2010-05-08";

#[test]
fn what_no_agent_took_in_time_does_not_run_later() {
    let mut door = Door::open(&json!({ "instances": [{ "id": WEB, "cluster": "blue", "fault": "ssm-agent.hung" }] }));
    door.wait(60);
    door.send(WEB, "Defib-Repair-1", &json!({ "Action": ["free-disk"] }));
    let late = door.send(WEB, "AWS-RunShellScript", &json!({}));
    door.wait(90);
    // The agent is back before the whole time is up, and after the time in which it may begin.
    door.control("POST", "/_fleet/world", &json!({ "faults": [{ "instance": WEB, "fault": null }] }));
    door.wait(60);
    assert_eq!(door.ssm("GetConnectionStatus", &json!({ "Target": WEB }))["Status"], "connected");
    assert_eq!(door.invocation(&late, WEB)["Status"], "Pending");
    door.wait(7_200);
    assert_ne!(door.invocation(&late, WEB)["Status"], "Success");
}

/// Three members of a cluster and a group that can spare one; the first is as a story wants it.
fn fleet_of_three(first: &Value) -> Value {
    let mut all = vec![json!({ "id": WEB }), json!({ "id": OTHER }), json!({ "id": THIRD })];
    for one in &mut all {
        let fields = one.as_object_mut().unwrap();
        fields.insert("tags".to_owned(), json!({ "defib:managed": "true" }));
        fields.insert("cluster".to_owned(), json!("prod-web"));
        fields.insert("group".to_owned(), json!("prod-web-asg"));
    }
    all[0].as_object_mut().unwrap().extend(first.as_object().unwrap().clone());
    json!({ "instances": all, "groups": [{ "name": "prod-web-asg", "min": 2 }] })
}

#[test]
fn a_hung_ssm_agent_looks_online_for_minutes_and_its_commands_sit_in_pending() {
    let mut door = Door::open(&json!({ "instances": [{ "id": WEB, "fault": "ssm-agent.hung" }] }));
    door.wait(180);
    assert_eq!(door.listed(WEB).unwrap()["PingStatus"], "Online");
    assert_eq!(door.ssm("GetConnectionStatus", &json!({ "Target": WEB }))["Status"], "notconnected");
    let command = door.send(WEB, "AWS-RunShellScript", &json!({ "commands": ["date"], "executionTimeout": ["30"] }));
    door.wait(60);
    let waiting = door.invocation(&command, WEB);
    assert_eq!((&waiting["Status"], &waiting["ResponseCode"]), (&json!("Pending"), &json!(-1)));
    door.wait(60);
    let list = door.ssm("ListCommandInvocations", &json!({ "CommandId": command, "InstanceId": WEB }));
    let ended = &list["CommandInvocations"][0];
    let pair = (ended["Status"].as_str().unwrap(), ended["StatusDetails"].as_str().unwrap());
    assert!(matches!(pair, ("TimedOut", "Delivery Timed Out") | ("Failed", "Undeliverable")), "{pair:?}");
    door.wait(1_200);
    assert_eq!(door.listed(WEB).unwrap()["PingStatus"], "ConnectionLost");
}

#[test]
fn a_host_that_refuses_its_repair_says_why_by_its_exit_code() {
    let hung = json!({ "id": WEB, "fault": "runtime.docker-hung", "cluster": "blue" });
    let mut door = Door::open(&json!({ "instances": [hung] }));
    door.wait(180);
    let repair = |door: &mut Door, action: &str| {
        let command = door.send(WEB, "Defib-prod-Repair-0a1b2c3d", &json!({ "Action": [action] }));
        door.wait(60);
        let list = json!({ "CommandId": command, "InstanceId": WEB, "Details": true });
        let list = door.ssm("ListCommandInvocations", &list);
        let row = &list["CommandInvocations"][0];
        (row["Status"].clone(), row["CommandPlugins"][0]["ResponseCode"].clone())
    };
    assert_eq!(repair(&mut door, "restart-ecs-agent"), (json!("Failed"), json!(13)), "docker does not answer");
    assert_eq!(repair(&mut door, "restart-runtime"), (json!("Success"), json!(0)));
    door.wait(120);
    assert_eq!(repair(&mut door, "restart-ecs-agent"), (json!("Success"), json!(0)), "it answers again");
}

#[test]
fn an_invocation_cannot_be_read_in_its_first_seconds() {
    let mut door = Door::open(&json!({ "instances": [{ "id": WEB, "fault": "host.disk-full", "cluster": "blue" }] }));
    door.wait(60);
    let command = door.send(WEB, "Defib-prod-Probe-0a1b2c3d", &json!({}));
    assert_eq!(door.step(&command, WEB, "ProbeLinux")["__type"], "InvocationDoesNotExist");
    let list = door.ssm("ListCommandInvocations", &json!({ "CommandId": command }));
    assert_eq!(list["CommandInvocations"], json!([]));
    door.wait(40);
    let unnamed = door.invocation(&command, WEB);
    assert_eq!(unnamed["__type"], "InvalidPluginName", "the document has a step for each platform");
    let read = door.step(&command, WEB, "ProbeLinux");
    assert_eq!(read["Status"], "Success");
    let other = door.step(&command, WEB, "ProbeWindows")["StandardOutputContent"].to_string();
    assert!(other.contains("skipped"), "{other}");
    let whole = json!({ "CommandId": command, "InstanceId": WEB, "Details": true });
    let plugins = door.ssm("ListCommandInvocations", &whole)["CommandInvocations"][0]["CommandPlugins"].clone();
    assert_eq!((&plugins[0]["Output"], plugins.as_array().unwrap().len()), (&read["StandardOutputContent"], 2));
    let lines: Vec<Value> = read["StandardOutputContent"]
        .as_str()
        .unwrap()
        .lines()
        .map(|line| serde_json::from_str(line).unwrap())
        .collect();
    assert_eq!(lines[0]["check"], "boot");
    assert!(lines[0]["booted_at"].as_str().unwrap().parse::<Timestamp>().is_ok());
    assert_eq!((&lines[1]["check"], &lines[1]["severity"]), (&json!("host.disk-full"), &json!("cause")));
}

#[test]
fn an_ecs_agent_is_restarted_by_our_repair_document() {
    let mut door = Door::open(&fleet_of_three(&json!({ "fault": "ecs-agent.stopped", "since_secs": 900 })));
    let lost = json!({ "cluster": "prod-web", "filter": "agentConnected==false" });
    let arns = door.ecs("ListContainerInstances", &lost)["containerInstanceArns"].clone();
    assert_eq!(arns.as_array().unwrap().len(), 1);
    let look =
        json!({ "cluster": "prod-web", "containerInstances": arns, "include": ["TAGS", "CONTAINER_INSTANCE_HEALTH"] });
    let seen = door.ecs("DescribeContainerInstances", &look)["containerInstances"][0].clone();
    assert_eq!((&seen["ec2InstanceId"], &seen["agentConnected"]), (&json!(WEB), &json!(false)));
    let details = seen["healthStatus"]["details"].as_array().unwrap().clone();
    assert!(details.iter().any(|one| one["type"] == "AGENT_CONNECTIVITY" && one["status"] == "IMPAIRED"), "{seen}");
    let refused = door.ssm(
        "SendCommand",
        &json!({ "InstanceIds": [WEB], "DocumentName": "Defib-Repair-1", "Parameters": { "Action": ["rm -rf /"] } }),
    );
    assert_eq!(refused["__type"], "InvalidParameters");
    door.send(WEB, "Defib-Repair-1", &json!({ "Action": ["restart-ecs-agent"] }));
    door.wait(120);
    assert_eq!(door.ecs("DescribeContainerInstances", &look)["containerInstances"][0]["agentConnected"], true);
    assert_eq!(door.truth(WEB)["well"], true);
    let (_, events) = door.control("GET", "/_fleet/events", &Value::Null);
    let names: Vec<&str> = events["events"]
        .as_array()
        .unwrap()
        .iter()
        .filter_map(|event| read_value(event, None, door.now).result.ok())
        .map(|signal| signal.kind.name())
        .collect();
    assert_eq!(names, ["ecs-disconnected", "ecs-health-impaired", "ecs-connected", "ecs-health-restored"]);
}

#[test]
fn a_stopped_instance_vanishes_from_systems_manager_and_from_the_default_status() {
    let mut door = Door::open(&json!({ "instances": [{ "id": WEB }, { "id": OTHER }] }));
    let stopped = door.query(EC2, &format!("StopInstances&InstanceId.1={WEB}"));
    assert_eq!(stopped.all("name"), ["stopping", "running"]);
    door.wait(300);
    assert_eq!(door.query(EC2, &format!("DescribeInstances&InstanceId.1={WEB}")).one("name"), "stopped");
    assert!(door.listed(WEB).is_none(), "a missing row is no proof that it is unregistered");
    assert!(door.listed(OTHER).is_some());
    let status = door.query(EC2, "DescribeInstanceStatus");
    assert_eq!(status.all("instanceId"), [OTHER]);
    let all = door.query(EC2, "DescribeInstanceStatus&IncludeAllInstances=true");
    assert_eq!(all.all("instanceId"), [WEB, OTHER]);
    assert!(all.text.contains("<status>not-applicable</status>"));
    // A send to a stopped instance is accepted (facts/aws.md §2.1).
    door.send(WEB, "AWS-RunShellScript", &json!({}));
    door.query(EC2, &format!("StartInstances&InstanceId.1={WEB}"));
    door.wait(400);
    assert!(door.listed(WEB).is_some());
}

#[test]
fn impaired_volumes_and_a_retirement_show_in_the_status_until_a_stop_and_start() {
    let ill = |id: &str, fault: &str| json!({ "id": id, "fault": fault, "since_secs": 1800 });
    let mut door = Door::open(&json!({ "instances": [ill(WEB, "impaired-volume"), ill(OTHER, "retirement")] }));
    let status = |door: &mut Door, id: &str| door.query(EC2, &format!("DescribeInstanceStatus&InstanceId.1={id}")).text;
    let volumes = |text: &str| {
        let part = text.split("<attachedEbsStatus>").nth(1).and_then(|rest| rest.split("</attachedEbsStatus>").next());
        let last = part.and_then(|part| part.rsplit("<status>").next()).unwrap();
        last.split('<').next().unwrap().to_owned()
    };
    let web = status(&mut door, WEB);
    assert_eq!((volumes(&web).as_str(), web.contains("<code>instance-")), ("impaired", false), "{web}");
    let other = status(&mut door, OTHER);
    assert_eq!(volumes(&other), "ok");
    assert!(other.contains("<code>instance-retirement</code>") && other.contains("<notBefore>2026-12-0"), "{other}");
    for call in ["RebootInstances", "StopInstances", "StartInstances"] {
        door.query(EC2, &format!("{call}&InstanceId.1={WEB}&InstanceId.2={OTHER}"));
        door.wait(900);
        let still = call == "RebootInstances";
        if call != "StopInstances" {
            assert_eq!(volumes(&status(&mut door, WEB)) == "impaired", still, "{call}");
            assert_eq!(status(&mut door, OTHER).contains("instance-retirement"), still, "{call}");
        }
    }
}

#[test]
fn a_reboot_answers_nothing_changes_no_state_and_ignores_what_is_gone() {
    let mut door = Door::open(&fleet_of_three(&json!({ "fault": "ssm-agent.hung", "since_secs": 1800 })));
    let before = door.truth(WEB)["booted_at"].clone();
    let reboot = format!("RebootInstances&InstanceId.1={WEB}");
    assert_eq!(door.query(EC2, &reboot).one("return"), "true");
    door.wait(30);
    assert_eq!(door.query(EC2, &format!("DescribeInstances&InstanceId.1={WEB}")).one("name"), "running");
    door.wait(400);
    assert_ne!(door.truth(WEB)["booted_at"], before);
    assert_eq!(door.truth(WEB)["well"], true);
    let end = format!("TerminateInstanceInAutoScalingGroup&InstanceId={WEB}&ShouldDecrementDesiredCapacity=false");
    assert_eq!(door.query(GROUPS, &end).status, 200);
    assert_eq!(door.query(GROUPS, &end).code(), (400, "ScalingActivityInProgress"));
    door.wait(200);
    assert_eq!(door.truth(WEB)["state"], "terminated");
    assert_eq!(door.query(EC2, &reboot).one("return"), "true", "a terminated instance is ignored without a word");
    door.wait(3_700);
    assert_eq!(door.query(EC2, &reboot).code(), (400, "InvalidInstanceID.NotFound"), "after an hour it is forgotten");
}

#[test]
fn what_ec2_refuses_it_refuses_with_its_own_codes() {
    let ids = ["i-00000001", "i-00000002", "i-00000003", "i-00000004", "i-00000005"];
    let mut door = Door::open(&json!({ "instances": [
        { "id": ids[0], "spot": true }, { "id": ids[1], "instance_store_root": true },
        { "id": ids[2], "stop_protected": true }, { "id": ids[3], "manager": "provider" }, { "id": ids[4] },
    ] }));
    for (form, expected) in [
        (format!("StopInstances&InstanceId.1={}", ids[0]), (400, "UnsupportedOperation")),
        (format!("StopInstances&InstanceId.1={}", ids[1]), (400, "UnsupportedOperation")),
        (format!("StopInstances&InstanceId.1={}", ids[2]), (400, "OperationNotPermitted")),
        (format!("RebootInstances&InstanceId.1={}", ids[3]), (400, "OperationNotPermitted")),
        (format!("StopInstances&InstanceId.1={}&DryRun=true", ids[2]), (412, "DryRunOperation")),
        ("StopInstances&InstanceId.1=i-0000000f".to_owned(), (400, "InvalidInstanceID.NotFound")),
        ("StopInstances&InstanceId.1=mi-00000001".to_owned(), (400, "InvalidInstanceID.Malformed")),
        ("StopInstances".to_owned(), (400, "MissingParameter")),
        ("DescribeInstances&Filter.1.Name=colour&Filter.1.Value.1=red".to_owned(), (400, "InvalidParameterValue")),
        (format!("DescribeInstances&InstanceId.1={}&MaxResults=5", ids[4]), (400, "InvalidParameterCombination")),
        (format!("DescribeInstanceAttribute&InstanceId={}&Attribute=colour", ids[4]), (400, "InvalidParameterValue")),
        ("LaunchRockets".to_owned(), (400, "InvalidAction")),
    ] {
        assert_eq!(door.query(EC2, &form).code(), expected, "{form}");
    }
    door.query(EC2, &format!("StopInstances&InstanceId.1={}", ids[4]));
    door.wait(1);
    let start = door.query(EC2, &format!("StartInstances&InstanceId.1={}", ids[4]));
    assert_eq!(start.code(), (400, "IncorrectInstanceState"), "it is still stopping");
    let reboot = door.query(EC2, &format!("RebootInstances&InstanceId.1={}", ids[4]));
    assert_eq!(reboot.code(), (400, "IncorrectState"));
    assert!(reboot.text.starts_with("<?xml") && reboot.text.contains("<Response><Errors><Error>"));
}

#[test]
fn a_member_leaves_for_standby_as_long_as_the_group_can_spare_it() {
    let mut door = Door::open(&fleet_of_three(&json!({})));
    let enter = |id: &str| {
        format!(
            "EnterStandby&AutoScalingGroupName=prod-web-asg&InstanceIds.member.1={id}&ShouldDecrementDesiredCapacity=true"
        )
    };
    assert_eq!(door.query(GROUPS, &enter(WEB)).one("StatusCode"), "InProgress");
    let below = door.query(GROUPS, &enter(OTHER));
    assert_eq!(below.code(), (400, "ValidationError"));
    assert!(below.one("Message").contains("min-size=2"), "{}", below.text);
    door.wait(60);
    let member = format!("DescribeAutoScalingInstances&InstanceIds.member.1={WEB}&InstanceIds.member.2=i-00000001");
    assert_eq!(door.query(GROUPS, &member).all("LifecycleState"), ["Standby"]);
    // In Standby a stop is nobody's business; in service it ends the machine.
    door.query(EC2, &format!("StopInstances&InstanceId.1={WEB}&InstanceId.2={OTHER}"));
    door.wait(600);
    assert_eq!((&door.truth(WEB)["state"], &door.truth(OTHER)["state"]), (&json!("stopped"), &json!("terminated")));
    let exit = format!("ExitStandby&AutoScalingGroupName=prod-web-asg&InstanceIds.member.1={WEB}");
    assert_eq!(door.query(GROUPS, &exit).code(), (400, "ValidationError"));
    door.query(EC2, &format!("StartInstances&InstanceId.1={WEB}"));
    door.wait(120);
    assert_eq!(door.query(GROUPS, &exit).status, 200);
    door.wait(60);
    let group = door.query(GROUPS, "DescribeAutoScalingGroups&AutoScalingGroupNames.member.1=prod-web-asg");
    assert_eq!(group.one("DesiredCapacity"), "3");
    assert_eq!(group.all("LifecycleState"), ["InService"; 3]);
}

#[test]
fn a_machine_without_a_role_shows_it_where_people_would_look() {
    let mut door = Door::open(&json!({ "instances": [
        { "id": WEB, "fault": "identity.no-instance-profile" },
        { "id": OTHER, "role": "web-role", "fault": "identity.imds-unreachable" },
        { "id": THIRD, "role": "old-role", "fault": "identity.credentials-expired" },
    ] }));
    assert!(!door.query(EC2, &format!("DescribeInstances&InstanceId.1={WEB}")).text.contains("iamInstanceProfile"));
    let other = door.query(EC2, &format!("DescribeInstances&InstanceId.1={OTHER}"));
    assert!(other.text.contains("instance-profile/web-role") && other.one("httpEndpoint") == "disabled");
    let profile = door.query(IAM, "GetInstanceProfile&InstanceProfileName=web-role");
    assert_eq!(profile.one("RoleName"), "web-role");
    assert_eq!(door.query(IAM, "GetRole&RoleName=nobody").code(), (404, "NoSuchEntity"));
    // The role was created anew long after the machine.
    let created: Timestamp = door.query(IAM, "GetRole&RoleName=old-role").one("CreateDate").parse().unwrap();
    assert_eq!(created, door.now);
}

#[test]
fn tags_sessions_calendars_and_parameters_are_as_the_file_says() {
    let mut door = Door::open(&json!({
        "instances": [{ "id": "mi-0a1b2c3d4e5f60718", "tags": { "defib:mode": "observe", "team": "a <b> & c" } },
            { "id": WEB, "tags": { "note": "a <b> & \"c\"" }, "sessions": 2 }],
        "parameters": { "/defib/policy": "mode: cycle\n" },
        "calendars": { "Freeze": [{ "from_secs": -60, "secs": 3600 }] },
    }));
    let tags = door.ssm(
        "ListTagsForResource",
        &json!({ "ResourceType": "ManagedInstance", "ResourceId": "mi-0a1b2c3d4e5f60718" }),
    );
    assert_eq!(tags["TagList"][1], json!({ "Key": "team", "Value": "a <b> & c" }));
    assert!(door.query(EC2, "DescribeInstances").text.contains("<value>a &lt;b&gt; &amp; &quot;c&quot;</value>"));
    let filter = json!({ "State": "Active", "Filters": [{ "key": "Target", "value": WEB }] });
    let sessions = door.ssm("DescribeSessions", &filter)["Sessions"].as_array().unwrap().clone();
    assert_eq!(sessions.len(), 2);
    assert_ne!(sessions[0]["SessionId"], sessions[1]["SessionId"]);
    let asked = json!({ "CalendarNames": ["arn:aws:ssm:us-east-1:111122223333:document/Freeze"] });
    let state = door.ssm("GetCalendarState", &asked);
    assert_eq!((&state["State"], &state["NextTransitionTime"]), (&json!("CLOSED"), &json!("2026-11-20T14:59:00Z")));
    door.wait(3_600);
    assert_eq!(door.ssm("GetCalendarState", &asked)["State"], "OPEN");
    let arn = "arn:aws:ssm:us-east-1:111122223333:parameter/defib/policy";
    assert_eq!(door.ssm("GetParameter", &json!({ "Name": arn }))["Parameter"]["Value"], "mode: cycle\n");
    assert_eq!(door.ssm("GetParameter", &json!({ "Name": "x" }))["__type"], "ParameterNotFound");
}

#[test]
fn pages_hold_every_node_once() {
    let mut door = Door::open(&json!({ "instances": [{ "count": 23, "name": "web" }] }));
    let (mut seen, mut token) = (Vec::new(), Value::Null);
    loop {
        let page = door.ssm("DescribeInstanceInformation", &json!({ "NextToken": token }));
        let list = page["InstanceInformationList"].as_array().unwrap().clone();
        assert!(list.len() <= 10, "ten are the default");
        seen.extend(list.into_iter().map(|one| one["InstanceId"].to_string()));
        token = page["NextToken"].clone();
        if token.is_null() {
            break;
        }
    }
    seen.sort();
    seen.dedup();
    assert_eq!(seen.len(), 23);
    for bad in [json!({ "NextToken": "x" }), json!({ "MaxResults": 4 }), json!({ "MaxResults": "5" })] {
        let (status, error) = door.json("AmazonSSM.DescribeInstanceInformation", &bad);
        assert_eq!(status, 400, "{error}");
    }
    let first = door.query(EC2, "DescribeInstances&MaxResults=20");
    let rest = door.query(EC2, &format!("DescribeInstances&MaxResults=20&NextToken={}", first.one("nextToken")));
    assert_eq!((first.all("instancesSet").len(), rest.all("instancesSet").len()), (20, 3));
}

#[test]
fn unknown_ids_are_left_out_by_filters_and_refused_by_the_older_list() {
    let mut door = Door::open(&json!({ "instances": [{ "id": WEB }] }));
    assert!(door.listed("i-00000001").is_none());
    let older = json!({ "InstanceInformationFilterList": [{ "key": "InstanceIds", "valueSet": ["i-00000001"] }] });
    assert_eq!(door.ssm("DescribeInstanceInformation", &older)["__type"], "InvalidInstanceId");
    let mixed =
        json!({ "Filters": [{ "Key": "tag:a", "Values": ["b"] }, { "Key": "PingStatus", "Values": ["Online"] }] });
    let error = door.ssm("DescribeInstanceInformation", &mixed);
    assert_eq!(error["__type"], "InvalidInstanceInformationFilterValue");
    let unknown = json!({ "InstanceIds": ["i-00000001"], "DocumentName": "AWS-RunShellScript" });
    assert_eq!(door.ssm("SendCommand", &unknown)["__type"], "InvalidInstanceId");
}

#[test]
fn one_command_to_several_nodes_is_one_invocation_each() {
    let mut door = Door::open(&json!({ "instances": [{ "id": WEB }, { "id": OTHER, "fault": "ssm-agent.stopped" }] }));
    door.wait(60);
    let body = json!({
        "InstanceIds": [WEB, OTHER], "DocumentName": "AWS-RunShellScript", "Parameters": { "commands": ["exit 1"] },
    });
    let command = door.ssm("SendCommand", &body)["Command"]["CommandId"].as_str().unwrap().to_owned();
    door.wait(30);
    assert_eq!(door.invocation(&command, WEB)["Status"], "Failed");
    assert_eq!(door.invocation(&command, OTHER)["Status"], "Pending");
    let failed = json!({ "CommandId": command, "Filters": [{ "key": "Status", "value": "Failed" }] });
    assert_eq!(door.ssm("ListCommandInvocations", &failed)["CommandInvocations"].as_array().unwrap().len(), 1);
}

#[test]
fn each_service_throttles_and_denies_in_its_own_words() {
    let mut door = Door::open(&json!({ "instances": [{ "id": WEB, "cluster": "blue" }] }));
    let mut ask = |fault: &str| -> Vec<(u16, String)> {
        let (status, _) =
            door.control("POST", "/_fleet/faults", &json!({ "operation": "*", "fault": fault, "count": 5 }));
        assert_eq!(status, 200);
        let json_code = |(status, body): (u16, Value)| (status, body["__type"].as_str().unwrap().to_owned());
        let xml_code = |xml: Xml| (xml.status, xml.code().1.to_owned());
        vec![
            json_code(door.json("AmazonSSM.DescribeSessions", &json!({ "State": "Active" }))),
            json_code(door.json("AmazonEC2ContainerServiceV20141113.ListClusters", &json!({}))),
            xml_code(door.query(EC2, "DescribeInstances")),
            xml_code(door.query(GROUPS, "DescribeAutoScalingGroups")),
            xml_code(door.query(IAM, "GetRole&RoleName=x")),
        ]
    };
    let codes = |list: [(u16, &str); 5]| list.map(|(status, code)| (status, code.to_owned())).to_vec();
    let throttled = [
        (400, "ThrottlingException"),
        (400, "ThrottlingException"),
        (503, "RequestLimitExceeded"),
        (400, "Throttling"),
        (400, "Throttling"),
    ];
    assert_eq!(ask("throttle"), codes(throttled));
    let denied = [
        (400, "AccessDeniedException"),
        (400, "AccessDeniedException"),
        (403, "UnauthorizedOperation"),
        (403, "AccessDenied"),
        (403, "AccessDenied"),
    ];
    assert_eq!(ask("deny"), codes(denied));
    assert!(ask("500").iter().all(|(status, _)| *status == 500));
    assert_eq!(door.query(EC2, "DescribeInstances").status, 200, "the faults are used up");
}

#[test]
fn a_late_answer_did_its_work_and_a_hanging_one_did_not() {
    let mut door = Door::open(&json!({ "instances": [{ "id": WEB }, { "id": OTHER }] }));
    let rules = json!([
        { "operation": "RebootInstances", "node": WEB, "fault": "timeout", "secs": 30, "count": 1 },
        { "operation": "RebootInstances", "service": "ec2", "node": OTHER, "fault": "hang" },
    ]);
    assert_eq!(door.control("POST", "/_fleet/faults", &rules).0, 200);
    let pause = |door: &mut Door, id: &str| {
        let body = format!("Version={EC2}&Action=RebootInstances&InstanceId.1={id}");
        door.ask(&Request { method: "POST", path: "/", body: body.as_bytes(), ..Request::default() }).pause
    };
    assert_eq!((pause(&mut door, WEB), pause(&mut door, OTHER)), (Pause::Secs(30), Pause::Forever));
    assert_eq!((&door.truth(WEB)["boots"], &door.truth(OTHER)["boots"]), (&json!(1), &json!(0)));
    let (_, calls) = door.control("GET", "/_fleet/calls?reset=1", &Value::Null);
    let told: Vec<(&str, &str)> = calls["calls"]
        .as_array()
        .unwrap()
        .iter()
        .map(|call| (call["nodes"][0].as_str().unwrap(), call["outcome"].as_str().unwrap()))
        .collect();
    assert_eq!(told, [(WEB, "ok"), (OTHER, "(no answer)")]);
    assert_eq!(door.control("GET", "/_fleet/calls", &Value::Null).1["calls"], json!([]));
}

#[test]
fn a_fault_of_the_service_blinds_whoever_asks_for_the_node() {
    let mut door = Door::open(&fleet_of_three(&json!({ "fault": "service.unavailable" })));
    let filter = json!({ "Filters": [{ "Key": "InstanceIds", "Values": [WEB] }] });
    assert_eq!(door.json("AmazonSSM.DescribeInstanceInformation", &filter).0, 500);
    assert_eq!(door.query(EC2, &format!("DescribeInstances&InstanceId.1={WEB}")).status, 200);
    assert!(door.listed(OTHER).is_some());
}

#[test]
fn people_change_the_world_through_the_control_door() {
    let mut door = Door::open(&json!({ "instances": [{ "id": WEB, "cluster": "blue" }] }));
    let change = json!({
        "instances": [{ "id": OTHER, "fault": "clock.skew" }],
        "faults": [{ "instance": WEB, "fault": "ecs-agent.hung" }],
        "tags": [{ "instance": WEB, "tags": { "defib:mode": "off" } }],
    });
    assert_eq!(door.control("POST", "/_fleet/world", &change).0, 200);
    assert_eq!(door.control("POST", "/_fleet/advance", &json!({ "secs": 600 })).1["ahead_secs"], 600);
    let web = door.truth(WEB);
    assert_eq!((&web["fault"], &web["ecs"]["agent_up"]), (&json!("ecs-agent.hung"), &json!(false)));
    assert_eq!(web["tags"], json!([{ "key": "defib:mode", "value": "off" }]));
    let repair = json!({ "faults": [{ "instance": WEB, "fault": null }] });
    door.control("POST", "/_fleet/world", &repair);
    assert_eq!(door.truth(WEB)["fault"], Value::Null);
    for (path, body) in [
        ("/_fleet/world", json!({ "faults": [{ "instance": "i-00000001", "fault": "clock.skew" }] })),
        ("/_fleet/world", json!({ "faults": [{ "instance": WEB, "fault": "clock.skew", "since_secs": 60 }] })),
        ("/_fleet/world", json!({ "region": "eu-west-1" })),
        ("/_fleet/world", json!([])),
        ("/_fleet/advance", json!({ "secs": -1 })),
        ("/_fleet/faults", json!({ "operation": "*", "fault": "timeout" })),
        ("/_fleet/faults", json!({ "operation": "*", "service": "s3", "fault": "deny" })),
    ] {
        let (status, answer) = door.control("POST", path, &body);
        assert_eq!(status, 400, "{path} {body}: {answer}");
        assert!(answer["error"].is_string());
    }
    let fresh = json!({ "instances": [{ "id": THIRD, "fault": "ssm-agent.hung", "since_secs": 1200 }] });
    let (status, world) = door.control("POST", "/_fleet/world?replace=1", &fresh);
    assert_eq!((status, world["instances"].as_array().unwrap().len()), (200, 1));
    assert_eq!(door.control("GET", "/_fleet/nothing", &Value::Null).0, 404);
    assert_eq!(door.control("PUT", "/_fleet/world", &Value::Null).0, 405);
}

#[test]
fn a_clock_that_is_held_moves_when_it_is_told_to() {
    let mut door = Door::open(&json!({ "instances": [{ "id": WEB }] }));
    let pinged = |door: &mut Door| door.listed(WEB).unwrap()["LastPingDateTime"].clone();
    let (first, start) = (pinged(&mut door), door.now);
    let held = door.control("POST", "/_fleet/hold", &Value::Null);
    assert_eq!((held.0, &held.1["now"]), (200, &json!(start)));
    door.wait(3_600);
    assert_eq!(pinged(&mut door), first, "an hour outside is none inside");
    let moved = door.control("POST", "/_fleet/advance", &json!({ "secs": 600 })).1;
    assert_eq!(moved["now"], json!(after(start, 600)));
    assert_ne!(pinged(&mut door), first);
    let fresh = json!({ "instances": [{ "id": WEB }] });
    door.control("POST", "/_fleet/world?replace=1", &fresh);
    door.wait(60);
    assert_eq!(door.control("GET", "/_fleet/world", &Value::Null).1["now"], json!(after(start, 600)));
}

#[test]
fn a_request_that_is_none_gets_an_error_of_aws() {
    let mut door = Door::open(&json!({}));
    for (target, body, code) in [
        ("AmazonSSM.GetParameter", "{", "SerializationException"),
        ("AmazonSSM.GetParameter", "[]", "SerializationException"),
        ("AmazonSSM.GetParameter", r#"{"Name":7}"#, "SerializationException"),
        ("AmazonSSM.GetParameter", "{}", "ValidationException"),
        ("AmazonSSM.DeleteEverything", "{}", "UnknownOperationException"),
        ("AmazonSSM", "{}", "UnknownOperationException"),
        ("DynamoDB_20120810.GetItem", "{}", "UnknownOperationException"),
        ("AmazonEC2ContainerServiceV20141113.DescribeTasks", r#"{"cluster":"x"}"#, "ClusterNotFoundException"),
    ] {
        let request =
            Request { method: "POST", path: "/", target: Some(target), body: body.as_bytes(), ..Request::default() };
        let answer = door.ask(&request);
        let told: Value = serde_json::from_str(&answer.body).unwrap();
        assert_eq!((answer.status, told["__type"].as_str().unwrap()), (400, code), "{target} {body}");
        assert!(answer.headers.iter().any(|(name, value)| *name == "x-amzn-errortype" && value == code));
    }
    assert_eq!(door.query("1999-01-01", "DescribeInstances").code(), (400, "InvalidAction"));
    assert_eq!(door.query(EC2, "").code(), (400, "MissingAction"));
}

proptest! {
    #[test]
    fn any_bytes_get_an_answer(
        body in proptest::collection::vec(any::<u8>(), 0..200),
        target in proptest::option::of("(AmazonSSM|AmazonEC2ContainerServiceV20141113|.*)\\.(SendCommand|DescribeTasks|.*)"),
        path in "(/|/_fleet/world|/_fleet/faults|/_fleet/advance|/.*)",
    ) {
        let mut door = Door::open(&json!({ "instances": [{ "id": WEB, "cluster": "blue" }] }));
        for method in ["GET", "POST"] {
            let request = Request { method, path: &path, query: "", target: target.as_deref(), body: &body };
            prop_assert!((200..600).contains(&door.ask(&request).status));
        }
    }

    #[test]
    fn any_form_gets_an_answer_in_xml(
        action in "(DescribeInstances|StopInstances|EnterStandby|GetRole|DescribeInstanceTypes)",
        version in "(2016-11-15|2011-01-01|2010-05-08)",
        name in "(InstanceId.1|Filter.1.Name|Filter.1.Value.1|InstanceIds.member.1|MaxResults|NextToken|DryRun|RoleName|.*)",
        value in ".*",
    ) {
        let mut door = Door::open(&json!({ "instances": [{ "id": WEB, "group": "g" }] }));
        let pair: String = serde_form(&name, &value);
        let answer = door.query(&version, &format!("{action}&{pair}"));
        prop_assert!(answer.text.contains("equestI"), "{}", answer.text);
    }
}

/// A pair of a form, escaped byte by byte.
fn serde_form(name: &str, value: &str) -> String {
    let escaped = |text: &str| text.bytes().fold(String::new(), |all, byte| format!("{all}%{byte:02X}"));
    format!("{}={}", escaped(name), escaped(value))
}

#[test]
fn the_door_opens_on_this_machine_only_says_where_and_closes_when_asked() {
    let defib = || {
        let mut command = Command::new(env!("CARGO_BIN_EXE_defib"));
        command.stdin(Stdio::null()).stdout(Stdio::piped()).stderr(Stdio::piped());
        command
    };
    let refused = defib().args(["fleet", "--listen", "0.0.0.0:0"]).output().unwrap();
    assert_eq!(refused.status.code(), Some(1));
    assert!(String::from_utf8_lossy(&refused.stderr).contains("not a loopback address"));
    for (signal, code) in [("-TERM", 0), ("-INT", 130)] {
        let mut child = defib().args(["fleet", "--listen", "127.0.0.1:0"]).spawn().unwrap();
        let mut line = String::new();
        BufReader::new(child.stdout.as_mut().unwrap()).read_line(&mut line).unwrap();
        let at = line.trim().strip_prefix("listening on http://").unwrap_or_else(|| panic!("{line}"));
        let mut stream = TcpStream::connect(at).unwrap();
        let body = "Action=DescribeInstances&Version=2016-11-15";
        write!(
            stream,
            "POST / HTTP/1.1\r\nHost: {at}\r\nConnection: close\r\nContent-Type: application/x-www-form-urlencoded\r\n\
             Content-Length: {}\r\n\r\n{body}",
            body.len()
        )
        .unwrap();
        let mut answer = String::new();
        stream.read_to_string(&mut answer).unwrap();
        assert!(answer.starts_with("HTTP/1.1 200") && answer.contains("<reservationSet></reservationSet>"), "{answer}");
        let killed = Command::new("kill").args([signal, &child.id().to_string()]).status().unwrap();
        assert!(killed.success());
        assert_eq!(child.wait().unwrap().code(), Some(code));
    }
}
