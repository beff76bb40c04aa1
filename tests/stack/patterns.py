"""EventBridge's way of matching an event against a rule's pattern, as far as the template uses it."""


def matches(pattern, event):
    """Whether a pattern matches an event: every field that it names must be there and fit."""
    return isinstance(event, dict) and all(field(wanted, event, name) for name, wanted in pattern.items())


def field(wanted, event, name):
    present = name in event
    if isinstance(wanted, dict):
        # Lists of objects: one and the same element must fit the whole of the inner pattern.
        inner = event.get(name)
        elements = inner if isinstance(inner, list) else [inner]
        return present and any(matches(wanted, element) for element in elements)
    values = event.get(name)
    values = values if isinstance(values, list) else [values]
    return any(fits(one, value, present) for one in wanted for value in values)


def fits(wanted, value, present):
    """Whether a value fits one entry of a list in a pattern."""
    if not isinstance(wanted, dict):
        # JSON's types count: the text "false" is not false, and 1 is not true.
        return present and type(wanted) is type(value) and wanted == value
    (operator, operand), = wanted.items()
    if operator == "exists":
        return present is operand
    if operator == "prefix":
        return isinstance(value, str) and value.startswith(operand)
    if operator == "equals-ignore-case":
        return isinstance(value, str) and value.lower() == operand.lower()
    if operator == "anything-but":
        if not present or value is None:
            return False
        if isinstance(operand, dict):
            return isinstance(value, str) and not fits(operand, value, present)
        return value not in (operand if isinstance(operand, list) else [operand])
    raise ValueError(f"a pattern uses {operator}, which the test does not know")
