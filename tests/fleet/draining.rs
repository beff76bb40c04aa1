//! What a drain does to the tasks of a container instance, as ECS shows it.

use serde_json::json;

use crate::door::Door;
use crate::fleet_of_three;

#[test]
fn ecs_drains_moves_tasks_and_deregisters() {
    let mut door = Door::open(&fleet_of_three(&json!({ "tasks": 2, "standalone": 1, "protected": 1 })));
    let all = door.ecs("ListContainerInstances", &json!({ "cluster": "prod-web" }));
    let arn = all["containerInstanceArns"][0].clone();
    let here = json!({ "cluster": "prod-web", "containerInstance": arn });
    let tasks = door.ecs("ListTasks", &here)["taskArns"].clone();
    let told = door.ecs("DescribeTasks", &json!({ "cluster": "prod-web", "tasks": tasks }));
    let groups: Vec<&str> =
        told["tasks"].as_array().unwrap().iter().map(|task| task["group"].as_str().unwrap()).collect();
    assert_eq!(groups, ["service:prod-web-service", "service:prod-web-service", "family:batch"]);
    let protection = door.ecs("GetTaskProtection", &json!({ "cluster": "prod-web", "tasks": tasks }));
    let protected = protection["protectedTasks"].as_array().unwrap();
    assert_eq!(protected.iter().filter(|task| task["protectionEnabled"] == true).count(), 1);
    assert_eq!(protection["failures"][0]["reason"], "TASK_NOT_VALID");
    let drain = json!({ "cluster": "prod-web", "containerInstances": [arn, "nobody"], "status": "DRAINING" });
    let drained = door.ecs("UpdateContainerInstancesState", &drain);
    assert_eq!(drained["containerInstances"][0]["status"], "DRAINING");
    assert_eq!(drained["failures"][0]["reason"], "MISSING");
    door.wait(600);
    let left = door.ecs("ListTasks", &here)["taskArns"].as_array().unwrap().len();
    assert_eq!(left, 2, "the protected one stays, and so does the one of no service");
    let service = door.ecs("DescribeServices", &json!({ "cluster": "prod-web", "services": ["prod-web-service"] }));
    assert_eq!(service["services"][0]["runningCount"], service["services"][0]["desiredCount"]);
    let mut forget = here.clone();
    assert_eq!(door.ecs("DeregisterContainerInstance", &forget)["__type"], "InvalidParameterException");
    forget["force"] = json!(true);
    let gone = door.ecs("DeregisterContainerInstance", &forget);
    assert_eq!(gone["containerInstance"]["status"], "INACTIVE");
    let again = door.ecs("UpdateContainerInstancesState", &drain);
    assert_eq!(again["failures"][0]["reason"], "INACTIVE");
    door.wait(3_700);
    let look = json!({ "cluster": "prod-web", "containerInstances": [arn] });
    assert_eq!(door.ecs("DescribeContainerInstances", &look)["failures"][0]["reason"], "MISSING");
}

#[test]
fn a_task_that_is_told_to_stop_is_listed_until_long_after_it_has() {
    let mut door = Door::open(&fleet_of_three(&json!({ "tasks": 1, "tasks_stop_secs": 200 })));
    let all = door.ecs("ListContainerInstances", &json!({ "cluster": "prod-web" }));
    let arn = all["containerInstanceArns"][0].clone();
    let here = json!({ "cluster": "prod-web", "containerInstance": arn });
    let told = json!({ "cluster": "prod-web", "containerInstance": arn, "desiredStatus": "STOPPED" });
    let tasks = door.ecs("ListTasks", &here)["taskArns"].clone();
    assert_eq!(door.ecs("ListTasks", &told)["taskArns"], json!([]));
    door.ecs(
        "UpdateContainerInstancesState",
        &json!({ "cluster": "prod-web", "containerInstances": [arn], "status": "DRAINING" }),
    );
    // Told within a minute, stopped two hundred seconds later.
    for (secs, last_status, listed) in [(100, "STOPPING", true), (200, "STOPPED", true), (3_700, "", false)] {
        door.wait(secs);
        let shown =
            door.ecs("DescribeContainerInstances", &json!({ "cluster": "prod-web", "containerInstances": [arn] }));
        assert_eq!(shown["containerInstances"][0]["runningTasksCount"], 0);
        assert_eq!(door.ecs("ListTasks", &here)["taskArns"], json!([]));
        assert_eq!(door.ecs("ListTasks", &told)["taskArns"], if listed { tasks.clone() } else { json!([]) });
        let task = door.ecs("DescribeTasks", &json!({ "cluster": "prod-web", "tasks": tasks }));
        if listed {
            assert_eq!(task["tasks"][0]["desiredStatus"], "STOPPED");
            assert_eq!(task["tasks"][0]["lastStatus"], last_status);
        } else {
            assert_eq!(task["failures"][0]["reason"], "MISSING");
        }
    }
}
