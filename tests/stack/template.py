"""infra/template.yaml as a value: loaded as CloudFormation reads it, and resolved for given parameters."""

import re
from pathlib import Path

import yaml

ROOT = Path(__file__).resolve().parents[2]
PATH = ROOT / "infra" / "template.yaml"
PSEUDO = {
    "AWS::AccountId": "111122223333",
    "AWS::Partition": "aws",
    "AWS::Region": "us-east-1",
    "AWS::StackName": "defib",
    "AWS::URLSuffix": "amazonaws.com",
}
NOTHING = object()


class Loader(yaml.SafeLoader):
    """YAML with the short forms of CloudFormation's functions."""


def short_form(loader, tag, node):
    if isinstance(node, yaml.ScalarNode):
        value = loader.construct_scalar(node)
    elif isinstance(node, yaml.SequenceNode):
        value = loader.construct_sequence(node, deep=True)
    else:
        value = loader.construct_mapping(node, deep=True)
    if tag == "GetAtt" and isinstance(value, str):
        value = value.split(".", 1)
    return {tag if tag in ("Ref", "Condition") else f"Fn::{tag}": value}


Loader.add_multi_constructor("!", short_form)


def load(text=None):
    """The template as it stands."""
    return yaml.load(PATH.read_text(encoding="utf-8") if text is None else text, Loader=Loader)


def aliases(text):
    """The anchors and aliases in a text: CloudFormation does not promise to read them."""
    kinds = (yaml.AliasToken, yaml.AnchorToken)
    return [token.value for token in yaml.scan(text, Loader=Loader) if isinstance(token, kinds)]


def pattern_holds(pattern, value):
    """Whether a value fits an AllowedPattern, which CloudFormation anchors at both ends."""
    return re.fullmatch(pattern, value) is not None


class Stack:
    """The template with values for its parameters."""

    def __init__(self, template, **given):
        self.template = template
        self.parameters = {}
        for name, declared in template["Parameters"].items():
            value = str(given.pop(name, declared.get("Default", "")))
            self.parameters[name] = value.split(",") if declared["Type"] == "CommaDelimitedList" else value
        if given:
            raise KeyError(f"the template has no parameter {', '.join(given)}")
        self.resources = {
            name: self.resolved(resource) for name, resource in template["Resources"].items()
            if "Condition" not in resource or self.condition(resource["Condition"])
        }

    def condition(self, name):
        return self.true(self.template["Conditions"][name])

    def true(self, expression):
        """The value of a condition."""
        (function, arguments), = expression.items()
        if function == "Condition":
            return self.condition(arguments)
        if function == "Fn::Equals":
            first, second = (self.resolved(one) for one in arguments)
            return str(first) == str(second)
        if function == "Fn::Not":
            return not self.true(arguments[0])
        if function == "Fn::And":
            return all(self.true(one) for one in arguments)
        if function == "Fn::Or":
            return any(self.true(one) for one in arguments)
        raise ValueError(f"no such function in a condition: {function}")

    def broken_rules(self):
        """The sentences of the Rules that these parameters break."""
        told = []
        for rule in self.template["Rules"].values():
            if "RuleCondition" not in rule or self.true(rule["RuleCondition"]):
                told += [one["AssertDescription"] for one in rule["Assertions"] if not self.true(one["Assert"])]
        return told

    def resolved(self, value):
        """A value with its functions worked out."""
        if isinstance(value, list):
            return [one for one in map(self.resolved, value) if one is not NOTHING]
        if not isinstance(value, dict):
            return value
        if len(value) == 1:
            (name, argument), = value.items()
            if name == "Ref":
                return self.reference(argument)
            if name.startswith("Fn::"):
                return self.function(name, argument)
        whole = {key: self.resolved(one) for key, one in value.items()}
        return {key: one for key, one in whole.items() if one is not NOTHING}

    def reference(self, name):
        if name == "AWS::NoValue":
            return NOTHING
        if name in self.parameters:
            return self.parameters[name]
        if name not in PSEUDO and name not in self.template["Resources"]:
            raise KeyError(f"a reference to {name}, which is nowhere")
        return PSEUDO.get(name, f"<{name}>")

    def attribute(self, resource, attribute):
        if resource not in self.template["Resources"]:
            raise KeyError(f"an attribute of {resource}, which is nowhere")
        return f"<{resource}.{attribute}>"

    def function(self, name, argument):
        if name == "Fn::If":
            condition, then, otherwise = argument
            return self.resolved(then if self.condition(condition) else otherwise)
        if name == "Fn::GetAtt":
            return self.attribute(*argument)
        if name == "Fn::Join":
            return argument[0].join(str(one) for one in self.resolved(argument[1]))
        if name == "Fn::FindInMap":
            table, row, column = argument
            return self.template["Mappings"][table][self.resolved(row)][column]
        if name == "Fn::Sub":
            text, own = (argument, {}) if isinstance(argument, str) else argument
            own = {key: self.resolved(one) for key, one in own.items()}

            def put(found):
                word = found[1]
                if word.startswith("!"):
                    return "${" + word[1:] + "}"
                if word in own:
                    return str(own[word])
                return self.attribute(*word.split(".", 1)) if "." in word else str(self.reference(word))

            return re.sub(r"\$\{([^}]+)\}", put, text)
        raise ValueError(f"no such function: {name}")

    def of_type(self, kind):
        """The resources of one type, by name."""
        return {name: one for name, one in self.resources.items() if one["Type"] == kind}

    def statements(self, role="FunctionRole"):
        """Every statement of the policies of a role."""
        policies = self.of_type("AWS::IAM::Policy").values()
        return [statement for policy in policies if f"<{role}>" in policy["Properties"]["Roles"]
                for statement in policy["Properties"]["PolicyDocument"]["Statement"]]


# What must be given; the rest has defaults.
GIVEN = {"CodeBucket": "bucket", "CodeKey": "defib/a.zip", "Email": "ops@example.com"}
TEMPLATE = load()


def stack(mode="observe", **given):
    """The template in a mode, with defaults but for what is given."""
    return Stack(TEMPLATE, Mode=mode, **GIVEN | given)
