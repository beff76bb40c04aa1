# The template does the work; this uploads it with the zip, and hands the variables over. It is too large to be passed inline.

variable "name" {
  description = "The stack's name. It is part of the timer's and the documents' names."
  type        = string
  default     = "defib"
  nullable    = false

  validation {
    condition     = can(regex("^[a-zA-Z][-a-zA-Z0-9]{0,63}$", var.name))
    error_message = "name: a letter, then letters, digits and dashes; 64 characters at most."
  }
}

variable "zip" {
  description = "The path of the zip that infra/package.sh made."
  type        = string

  validation {
    condition     = endswith(var.zip, ".zip") && fileexists(var.zip)
    error_message = "zip: the path of a file that ends with .zip."
  }
}

variable "tags" {
  description = "Tags for the stack and everything in it."
  type        = map(string)
  default     = {}
  nullable    = false
}

locals {
  template = "${path.module}/../template.yaml"
}

data "aws_s3_bucket" "code" {
  bucket = var.code_bucket
}

resource "aws_s3_object" "zip" {
  bucket      = data.aws_s3_bucket.code.id
  key         = "defib/${basename(var.zip)}"
  source      = var.zip
  source_hash = filemd5(var.zip)
}

resource "aws_s3_object" "template" {
  bucket = data.aws_s3_bucket.code.id
  # Another template is another key, so that CloudFormation sees that it changed.
  key         = "defib/template-${filemd5(local.template)}.yaml"
  source      = local.template
  source_hash = filemd5(local.template)
}

resource "aws_cloudformation_stack" "defib" {
  name         = var.name
  template_url = "https://${data.aws_s3_bucket.code.bucket_regional_domain_name}/${aws_s3_object.template.key}"
  capabilities = ["CAPABILITY_IAM"]
  parameters   = merge(local.parameters, { CodeKey = aws_s3_object.zip.key })
  tags         = var.tags
}
