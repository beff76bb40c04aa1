# Restart, reboot, stop and start what is opted in, in one ECS cluster; a person approves from a reboot on.

variable "bucket" {
  type = string
}

variable "zip" {
  type = string
}

variable "topic_arn" {
  description = "A topic that exists, for instance the one that your pager reads."
  type        = string
}

variable "cluster_arn" {
  type = string
}

module "defib" {
  source = "../.."

  code_bucket        = var.bucket
  zip                = var.zip
  existing_topic_arn = var.topic_arn
  mode               = "cycle"
  approve_from       = "reboot"
  ecs_cluster_arns   = [var.cluster_arn]
  policy_document    = <<-YAML
    # Payments is only told about.
    clusters:
      - match: payments
        mode: observe
  YAML
  tags = {
    team = "platform"
  }
}
