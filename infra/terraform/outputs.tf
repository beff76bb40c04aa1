output "stack_id" {
  description = "The stack's ARN."
  value       = aws_cloudformation_stack.defib.id
}

output "outputs" {
  description = "The outputs of the template: FunctionName, TopicArn, TableName and so on."
  value       = aws_cloudformation_stack.defib.outputs
}
