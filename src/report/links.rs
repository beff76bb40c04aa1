//! Links into the console, by partition and region.

use super::story::Story;

/// A link with its title.
pub(super) struct Link {
    pub(super) title: &'static str,
    pub(super) url: String,
}

/// Links for an incident: the instance, its container instance, the command's output.
pub(super) fn links(story: &Story<'_>) -> Vec<Link> {
    let place = &story.incident.place;
    let (host, region, node) = (place.region.console_host(), &place.region, &story.node);
    let mut links = Vec::with_capacity(4);
    links.push(if story.incident.node.is_instance() {
        Link { title: "Instance", url: instance(&host, region.as_str(), node) }
    } else {
        Link {
            title: "Managed nodes",
            url: format!("https://{host}/systems-manager/fleet-manager/managed-nodes?region={region}"),
        }
    });
    if let Some((cluster, arn)) = &place.container_instance {
        let (cluster, id) = (cluster.name(), arn.id());
        let path = format!("clusters/{cluster}/infrastructure/container-instances/{id}");
        links.push(Link { title: "Container instance", url: format!("https://{host}/ecs/v2/{path}?region={region}") });
    }
    let output = |command: &str| format!("https://{host}/systems-manager/run-command/{command}/{node}?region={region}");
    if let Some(command) = story.incident.command() {
        links.push(Link { title: "Command output", url: output(command.as_str()) });
    }
    if let Some(command) = story.incident.probe.as_ref().and_then(|probe| probe.command.as_ref()) {
        links.push(Link { title: "Probe output", url: output(command.as_str()) });
    }
    links
}

fn instance(host: &str, region: &str, node: &str) -> String {
    format!("https://{host}/ec2/home?region={region}#InstanceDetails:instanceId={node}")
}
