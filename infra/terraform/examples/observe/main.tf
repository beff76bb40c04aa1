# Look and tell, for one account and region.
#   terraform init && terraform apply -var bucket=… -var email=… -var zip="$(../../../package.sh)"

variable "bucket" {
  type = string
}

variable "email" {
  type = string
}

variable "zip" {
  type = string
}

module "defib" {
  source = "../.."

  code_bucket  = var.bucket
  zip          = var.zip
  email        = var.email
  allow_probes = true
}

output "topic" {
  value = module.defib.outputs["TopicArn"]
}
