# Written by infra/parameters.py from the parameters of infra/template.yaml.

variable "mode" {
  description = "How far Defib may go, each including the one before. off: nothing. observe: look and tell. restart: free disk, restart agents. cycle: drain, restart the runtime, reboot, stop and start. replace: replace through the Auto Scaling group. The role gets only what its mode needs, so no policy document and no tag goes beyond this."
  type        = string
  default     = "observe"
  nullable    = false

  validation {
    condition     = contains(["off", "observe", "restart", "cycle", "replace"], var.mode)
    error_message = "mode: off, observe, restart, cycle, replace."
  }
}

variable "allow_probes" {
  description = "In mode observe, send the read-only probe to nodes all the same. It finds more causes."
  type        = bool
  default     = false
  nullable    = false
}

variable "email" {
  description = "This address gets reports and alarms, after it has confirmed the mail that SNS sends. Empty subscribes nobody."
  type        = string
  default     = ""
  nullable    = false

  validation {
    condition     = can(regex("^$|^[^@ ]+@[^@ ]+$", var.email))
    error_message = "email: An e-mail address, or nothing."
  }
}

variable "existing_topic_arn" {
  description = "Publish to this topic instead of one of the stack's own. Its policy must let this account and its CloudWatch alarms publish. Empty makes a topic."
  type        = string
  default     = ""
  nullable    = false

  validation {
    condition     = can(regex("^$|^arn:[a-z-]+:sns:[a-z0-9-]+:[0-9]{12}:[A-Za-z0-9_-]+$", var.existing_topic_arn))
    error_message = "existing_topic_arn: The ARN of a standard SNS topic in this region, or nothing."
  }
}

variable "topic_kms_key_arn" {
  description = "Encrypt the topic with this customer key, or, with an existing topic, the key that it has. The key's policy must let cloudwatch.amazonaws.com use it, else alarms are lost. Empty leaves encryption at rest to SNS."
  type        = string
  default     = ""
  nullable    = false

  validation {
    condition     = can(regex("^$|^arn:[a-z-]+:kms:[a-z0-9-]+:[0-9]{12}:key/[A-Za-z0-9-]+$", var.topic_kms_key_arn))
    error_message = "topic_kms_key_arn: The ARN of a KMS key (not of an alias), or nothing."
  }
}

variable "code_bucket" {
  description = "The bucket, in this region, that holds the zip that infra/package.sh made."
  type        = string

  validation {
    condition     = can(regex("^[a-z0-9][a-z0-9.-]{1,61}[a-z0-9]$", var.code_bucket))
    error_message = "code_bucket: text."
  }
}

variable "architecture" {
  description = "The processor that the zip was built for. arm64 costs a fifth less."
  type        = string
  default     = "arm64"
  nullable    = false

  validation {
    condition     = contains(["arm64", "x86_64"], var.architecture)
    error_message = "architecture: arm64, x86_64."
  }
}

variable "ecs_cluster_arns" {
  description = "ARNs of the ECS clusters whose container instances the role may drain and deregister, in modes cycle and replace. IAM knows an instance's cluster here, not its tags. Empty names every cluster of this account and region."
  type        = list(string)
  default     = []
  nullable    = false

  validation {
    condition     = alltrue([for arn in var.ecs_cluster_arns : startswith(arn, "arn:")])
    error_message = "ecs_cluster_arns: ARNs."
  }
}

variable "volume_key_arns" {
  description = "ARNs of the keys of encrypted volumes. EC2 needs a grant for a customer key to start an instance again, so a node with a volume under a key that is not named here is not stopped; the key that AWS manages (aws/ebs) is to be named, too. Empty names none."
  type        = list(string)
  default     = []
  nullable    = false

  validation {
    condition     = alltrue([for arn in var.volume_key_arns : startswith(arn, "arn:")])
    error_message = "volume_key_arns: ARNs."
  }
}

variable "policy_document" {
  description = "The policy document (YAML, at most 4,096 bytes), as infra/policy.example.yaml shows it; check it by `defib policy check` first. {} changes nothing. It is kept in a parameter of the stack, which one may also write by hand."
  type        = string
  default     = "{}"
  nullable    = false
}

variable "policy_parameter_name" {
  description = "Read the policy document from this parameter (String) instead of one of the stack's own. Empty makes a parameter."
  type        = string
  default     = ""
  nullable    = false

  validation {
    condition     = can(regex("^$|^/[A-Za-z0-9_./-]{1,1000}$", var.policy_parameter_name))
    error_message = "policy_parameter_name: The name of a parameter of Systems Manager, beginning with a slash, or nothing."
  }
}

variable "log_level" {
  description = "The lowest level that is logged."
  type        = string
  default     = "info"
  nullable    = false

  validation {
    condition     = contains(["error", "warn", "info", "debug", "trace"], var.log_level)
    error_message = "log_level: error, warn, info, debug, trace."
  }
}

variable "sessions" {
  description = "What live Session Manager sessions mean for a remedy that would end them: wait until they have ended, go on and say so, or go on."
  type        = string
  default     = "wait"
  nullable    = false

  validation {
    condition     = contains(["wait", "warn", "ignore"], var.sessions)
    error_message = "sessions: wait, warn, ignore."
  }
}

variable "address_change" {
  description = "A public address that is not an Elastic IP, of a node outside Auto Scaling groups: a stop and start may change it, or is left out."
  type        = string
  default     = "allow"
  nullable    = false

  validation {
    condition     = contains(["allow", "refuse"], var.address_change)
    error_message = "address_change: allow, refuse."
  }
}

variable "approve_from" {
  description = "From this remedy on, a person must approve. With nobody, none is asked."
  type        = string
  default     = "nobody"
  nullable    = false

  validation {
    condition     = contains(["nobody", "free-disk", "restart-ssm-agent", "restart-ecs-agent", "restart-runtime", "reboot", "stop-start", "replace"], var.approve_from)
    error_message = "approve_from: nobody, free-disk, restart-ssm-agent, restart-ecs-agent, restart-runtime, reboot, stop-start, replace."
  }
}

variable "change_calendar" {
  description = "The change calendar of Systems Manager (name or ARN) that must be open for a remedy that stops workload. Empty asks none."
  type        = string
  default     = ""
  nullable    = false

  validation {
    condition     = can(regex("^$|^[A-Za-z0-9_.:/-]{3,200}$", var.change_calendar))
    error_message = "change_calendar: The name or ARN of a change calendar, or nothing."
  }
}

variable "restart_hold_down_secs" {
  description = "Seconds from the first look to an agent restart."
  type        = number
  default     = 300
  nullable    = false

  validation {
    condition     = var.restart_hold_down_secs >= 60 && var.restart_hold_down_secs <= 86400
    error_message = "restart_hold_down_secs: 60 to 86400."
  }
}

variable "disruptive_hold_down_secs" {
  description = "Seconds from the first look to a remedy that stops workload."
  type        = number
  default     = 600
  nullable    = false

  validation {
    condition     = var.disruptive_hold_down_secs >= 120 && var.disruptive_hold_down_secs <= 86400
    error_message = "disruptive_hold_down_secs: 120 to 86400."
  }
}

variable "launch_grace_secs" {
  description = "Seconds after its launch during which a node is left alone."
  type        = number
  default     = 600
  nullable    = false

  validation {
    condition     = var.launch_grace_secs >= 60 && var.launch_grace_secs <= 86400
    error_message = "launch_grace_secs: 60 to 86400."
  }
}

variable "cooldown_secs" {
  description = "Seconds between two attempts on one node."
  type        = number
  default     = 300
  nullable    = false

  validation {
    condition     = var.cooldown_secs >= 60 && var.cooldown_secs <= 86400
    error_message = "cooldown_secs: 60 to 86400."
  }
}

variable "agent_restarts_max" {
  description = "Agent restarts of one kind in one incident."
  type        = number
  default     = 2
  nullable    = false

  validation {
    condition     = var.agent_restarts_max >= 0 && var.agent_restarts_max <= 10
    error_message = "agent_restarts_max: 0 to 10."
  }
}

variable "parked_max_secs" {
  description = "Seconds that an incident waits for a rail before it ends as deferred."
  type        = number
  default     = 21600
  nullable    = false

  validation {
    condition     = var.parked_max_secs >= 300 && var.parked_max_secs <= 604800
    error_message = "parked_max_secs: 300 to 604800."
  }
}

variable "incident_max_secs" {
  description = "Seconds that an incident may take, waiting for rails aside, before a person is asked."
  type        = number
  default     = 18000
  nullable    = false

  validation {
    condition     = var.incident_max_secs >= 1800 && var.incident_max_secs <= 21600
    error_message = "incident_max_secs: 1800 to 21600."
  }
}

variable "quiet_secs" {
  description = "Seconds for which a node whose incident ended without a repair is not told about again, while nothing changes."
  type        = number
  default     = 86400
  nullable    = false

  validation {
    condition     = var.quiet_secs >= 300 && var.quiet_secs <= 604800
    error_message = "quiet_secs: 300 to 604800."
  }
}

variable "account_at_once" {
  description = "Disruptive remedies at the same time in the account."
  type        = number
  default     = 5
  nullable    = false

  validation {
    condition     = var.account_at_once >= 0 && var.account_at_once <= 100
    error_message = "account_at_once: 0 to 100."
  }
}

variable "group_at_once" {
  description = "Disruptive remedies at the same time in a group or Availability Zone; one in those under ten nodes."
  type        = number
  default     = 3
  nullable    = false

  validation {
    condition     = var.group_at_once >= 1 && var.group_at_once <= 100
    error_message = "group_at_once: 1 to 100."
  }
}

variable "group_percent" {
  description = "The same as a share of the group or zone, in percent; the lower of the two holds."
  type        = number
  default     = 10
  nullable    = false

  validation {
    condition     = var.group_percent >= 1 && var.group_percent <= 50
    error_message = "group_percent: 1 to 50."
  }
}

variable "unhealthy_percent" {
  description = "No disruptive remedy while more than this share of a group of six or more is unhealthy, in percent, rounded up."
  type        = number
  default     = 20
  nullable    = false

  validation {
    condition     = var.unhealthy_percent >= 1 && var.unhealthy_percent <= 100
    error_message = "unhealthy_percent: 1 to 100."
  }
}

variable "zone_freeze_percent" {
  description = "No disruptive remedy in an Availability Zone of four or more nodes of which this share is unhealthy, in percent."
  type        = number
  default     = 50
  nullable    = false

  validation {
    condition     = var.zone_freeze_percent >= 1 && var.zone_freeze_percent <= 100
    error_message = "zone_freeze_percent: 1 to 100."
  }
}

variable "account_an_hour" {
  description = "Disruptive remedies in any hour in the account."
  type        = number
  default     = 20
  nullable    = false

  validation {
    condition     = var.account_an_hour >= 0 && var.account_an_hour <= 1000
    error_message = "account_an_hour: 0 to 1000."
  }
}

variable "account_a_day" {
  description = "Disruptive remedies in any day in the account."
  type        = number
  default     = 50
  nullable    = false

  validation {
    condition     = var.account_a_day >= 0 && var.account_a_day <= 10000
    error_message = "account_a_day: 0 to 10000."
  }
}

variable "node_an_hour" {
  description = "Disruptive remedies in any hour on one node."
  type        = number
  default     = 1
  nullable    = false

  validation {
    condition     = var.node_an_hour >= 0 && var.node_an_hour <= 10
    error_message = "node_an_hour: 0 to 10."
  }
}

variable "node_a_day" {
  description = "Disruptive remedies in any day on one node; then it waits for a person."
  type        = number
  default     = 3
  nullable    = false

  validation {
    condition     = var.node_a_day >= 0 && var.node_a_day <= 20
    error_message = "node_a_day: 0 to 20."
  }
}

variable "active_incidents" {
  description = "Incidents that are worked on at the same time; the rest wait their turn."
  type        = number
  default     = 50
  nullable    = false

  validation {
    condition     = var.active_incidents >= 1 && var.active_incidents <= 1000
    error_message = "active_incidents: 1 to 1000."
  }
}

variable "watched_incidents" {
  description = "Incidents in their hold-down at the same time; nodes beyond that are only noted."
  type        = number
  default     = 1000
  nullable    = false

  validation {
    condition     = var.watched_incidents >= 10 && var.watched_incidents <= 20000
    error_message = "watched_incidents: 10 to 20000."
  }
}

variable "breaker_nodes" {
  description = "Distinct nodes in trouble within the breaker's window that open it, at least."
  type        = number
  default     = 10
  nullable    = false

  validation {
    condition     = var.breaker_nodes >= 1 && var.breaker_nodes <= 10000
    error_message = "breaker_nodes: 1 to 10000."
  }
}

variable "breaker_percent" {
  description = "The same as a share of the fleet, in percent; the larger of the two holds."
  type        = number
  default     = 5
  nullable    = false

  validation {
    condition     = var.breaker_percent >= 0 && var.breaker_percent <= 100
    error_message = "breaker_percent: 0 to 100."
  }
}

variable "breaker_window_secs" {
  description = "Seconds of the breaker's window."
  type        = number
  default     = 300
  nullable    = false

  validation {
    condition     = var.breaker_window_secs >= 60 && var.breaker_window_secs <= 3600
    error_message = "breaker_window_secs: 60 to 3600."
  }
}

variable "breaker_cool_down_secs" {
  description = "Seconds that the breaker rests before one canary may try."
  type        = number
  default     = 600
  nullable    = false

  validation {
    condition     = var.breaker_cool_down_secs >= 60 && var.breaker_cool_down_secs <= 86400
    error_message = "breaker_cool_down_secs: 60 to 86400."
  }
}

variable "shared_cause_nodes" {
  description = "Nodes that share something and must fail together to have a shared cause, at least."
  type        = number
  default     = 3
  nullable    = false

  validation {
    condition     = var.shared_cause_nodes >= 2 && var.shared_cause_nodes <= 1000
    error_message = "shared_cause_nodes: 2 to 1000."
  }
}

variable "shared_cause_percent" {
  description = "The same as a share of all that have it, in percent."
  type        = number
  default     = 50
  nullable    = false

  validation {
    condition     = var.shared_cause_percent >= 1 && var.shared_cause_percent <= 100
    error_message = "shared_cause_percent: 1 to 100."
  }
}

variable "shared_cause_window_secs" {
  description = "Seconds within which they fail together."
  type        = number
  default     = 600
  nullable    = false

  validation {
    condition     = var.shared_cause_window_secs >= 60 && var.shared_cause_window_secs <= 3600
    error_message = "shared_cause_window_secs: 60 to 3600."
  }
}

variable "shared_cause_times" {
  description = "So many times as often as those without it."
  type        = number
  default     = 3
  nullable    = false

  validation {
    condition     = var.shared_cause_times >= 1 && var.shared_cause_times <= 100
    error_message = "shared_cause_times: 1 to 100."
  }
}

variable "workload_standalone" {
  description = "Tasks on the node that no service started: a remedy that would end them is refused, or they are ignored."
  type        = string
  default     = "refuse"
  nullable    = false

  validation {
    condition     = contains(["refuse", "ignore"], var.workload_standalone)
    error_message = "workload_standalone: refuse, ignore."
  }
}

variable "workload_protected" {
  description = "Tasks on the node under scale-in protection: a remedy that would end them is refused, or they are ignored."
  type        = string
  default     = "refuse"
  nullable    = false

  validation {
    condition     = contains(["refuse", "ignore"], var.workload_protected)
    error_message = "workload_protected: refuse, ignore."
  }
}

variable "workload_left" {
  description = "Tasks that a drain did not end in its time: the remedy goes on, or the node is given back and tried again later."
  type        = string
  default     = "go-on"
  nullable    = false

  validation {
    condition     = contains(["go-on", "give-back"], var.workload_left)
    error_message = "workload_left: go-on, give-back."
  }
}

variable "memory_megabytes" {
  description = "Memory of the function. It needs 32 MB; with more comes more processor."
  type        = number
  default     = 256
  nullable    = false

  validation {
    condition     = var.memory_megabytes >= 128 && var.memory_megabytes <= 3008
    error_message = "memory_megabytes: 128 to 3008."
  }
}

variable "function_timeout_secs" {
  description = "The longest that one invocation may take. A message that failed comes again after six times as long, as Lambda wants it. More than 60 is for sweeps over thousands of nodes."
  type        = number
  default     = 60
  nullable    = false

  validation {
    condition     = contains([10, 30, 60, 120, 300], var.function_timeout_secs)
    error_message = "function_timeout_secs: 10, 30, 60, 120, 300."
  }
}

variable "intake_concurrency" {
  description = "How many events are worked on at the same time. Timers and operators come on top."
  type        = number
  default     = 2
  nullable    = false

  validation {
    condition     = contains([2, 5, 10, 20, 50, 100], var.intake_concurrency)
    error_message = "intake_concurrency: 2, 5, 10, 20, 50, 100."
  }
}

variable "reserved_concurrency" {
  description = "Reserve so many concurrent executions for the function. Empty reserves none: new accounts have 10 in all, of which AWS lets nobody reserve any."
  type        = string
  default     = ""
  nullable    = false

  validation {
    condition     = can(regex("^$|^[1-9][0-9]{0,3}$", var.reserved_concurrency))
    error_message = "reserved_concurrency: A number of executions, or nothing."
  }
}

variable "log_retention_days" {
  description = "Days for which logs are kept. They are the record of what was done to whose node, and why."
  type        = number
  default     = 90
  nullable    = false

  validation {
    condition     = contains([1, 3, 5, 7, 14, 30, 60, 90, 120, 150, 180, 365, 400, 545, 731, 1096, 1827, 2192, 2557, 2922, 3288, 3653], var.log_retention_days)
    error_message = "log_retention_days: 1, 3, 5, 7, 14, 30, 60, 90, 120, 150, 180, 365, 400, 545, 731, 1096, 1827, 2192, 2557, 2922, 3288, 3653."
  }
}

variable "table_deletion_protection" {
  description = "Nobody deletes the ledger by mistake. Modes cycle and replace insist: it knows which node Defib holds in Standby, draining or stopped."
  type        = bool
  default     = true
  nullable    = false
}

variable "start_session_rule" {
  description = "Also look when a Session Manager session could not start. It needs a CloudTrail trail in this region."
  type        = bool
  default     = false
  nullable    = false
}

locals {
  parameters = {
    Mode                    = var.mode
    AllowProbes             = tostring(var.allow_probes)
    Email                   = var.email
    ExistingTopicArn        = var.existing_topic_arn
    TopicKmsKeyArn          = var.topic_kms_key_arn
    CodeBucket              = var.code_bucket
    Architecture            = var.architecture
    EcsClusterArns          = join(",", var.ecs_cluster_arns)
    VolumeKeyArns           = join(",", var.volume_key_arns)
    PolicyDocument          = var.policy_document
    PolicyParameterName     = var.policy_parameter_name
    LogLevel                = var.log_level
    Sessions                = var.sessions
    AddressChange           = var.address_change
    ApproveFrom             = var.approve_from
    ChangeCalendar          = var.change_calendar
    RestartHoldDownSecs     = tostring(var.restart_hold_down_secs)
    DisruptiveHoldDownSecs  = tostring(var.disruptive_hold_down_secs)
    LaunchGraceSecs         = tostring(var.launch_grace_secs)
    CooldownSecs            = tostring(var.cooldown_secs)
    AgentRestartsMax        = tostring(var.agent_restarts_max)
    ParkedMaxSecs           = tostring(var.parked_max_secs)
    IncidentMaxSecs         = tostring(var.incident_max_secs)
    QuietSecs               = tostring(var.quiet_secs)
    AccountAtOnce           = tostring(var.account_at_once)
    GroupAtOnce             = tostring(var.group_at_once)
    GroupPercent            = tostring(var.group_percent)
    UnhealthyPercent        = tostring(var.unhealthy_percent)
    ZoneFreezePercent       = tostring(var.zone_freeze_percent)
    AccountAnHour           = tostring(var.account_an_hour)
    AccountADay             = tostring(var.account_a_day)
    NodeAnHour              = tostring(var.node_an_hour)
    NodeADay                = tostring(var.node_a_day)
    ActiveIncidents         = tostring(var.active_incidents)
    WatchedIncidents        = tostring(var.watched_incidents)
    BreakerNodes            = tostring(var.breaker_nodes)
    BreakerPercent          = tostring(var.breaker_percent)
    BreakerWindowSecs       = tostring(var.breaker_window_secs)
    BreakerCoolDownSecs     = tostring(var.breaker_cool_down_secs)
    SharedCauseNodes        = tostring(var.shared_cause_nodes)
    SharedCausePercent      = tostring(var.shared_cause_percent)
    SharedCauseWindowSecs   = tostring(var.shared_cause_window_secs)
    SharedCauseTimes        = tostring(var.shared_cause_times)
    WorkloadStandalone      = var.workload_standalone
    WorkloadProtected       = var.workload_protected
    WorkloadLeft            = var.workload_left
    MemoryMegabytes         = tostring(var.memory_megabytes)
    FunctionTimeoutSecs     = tostring(var.function_timeout_secs)
    IntakeConcurrency       = tostring(var.intake_concurrency)
    ReservedConcurrency     = var.reserved_concurrency
    LogRetentionDays        = tostring(var.log_retention_days)
    TableDeletionProtection = tostring(var.table_deletion_protection)
    StartSessionRule        = tostring(var.start_session_rule)
  }
}
