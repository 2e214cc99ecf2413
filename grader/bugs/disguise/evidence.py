"""What can be said of an expression without running it: all answers are "surely" or "not known"."""

from __future__ import annotations

import ast
from collections import Counter

from grader.bugs.disguise.module import FunctionNode, Module

PURE_FUNCTIONS = {"len", "min", "max", "abs", "int", "float", "bool", "tuple", "list", "range"}
PURE_METHODS = {"size", "dim", "numel"}
SCALAR_FUNCTIONS = {"len", "int", "float", "abs", "round"}
SCALAR_TYPES = {"int", "float", "bool"}
NUMERIC_TYPES = {"int", "float", "Tensor", "torch.Tensor"}
TENSOR_TYPES = {"Tensor", "torch.Tensor", "float"}
ARITHMETIC = (ast.Add, ast.Sub, ast.Mult, ast.Div, ast.FloorDiv, ast.Mod, ast.Pow)


class Evidence:
    """Answers questions about the expressions of one module."""

    def __init__(self, module: Module) -> None:
        self.module = module
        functions = [node for node in ast.walk(module.tree) if isinstance(node, FunctionNode)]
        counts = Counter(node.name for node in functions)
        # Only where no other function has the name: a method is looked up by its name alone.
        self.returned = {
            node.name: ast.unparse(node.returns)
            for node in functions
            if node.returns is not None and counts[node.name] == 1
        }
        self.constants = {
            target.id
            for node in module.tree.body
            if isinstance(node, ast.Assign) and is_number(node.value)
            for target in node.targets
            if isinstance(target, ast.Name)
        }
        self.defined = {
            node.name for node in ast.walk(module.tree) if isinstance(node, FunctionNode | ast.ClassDef)
        }

    def is_pure(self, node: ast.expr) -> bool:
        """Say whether evaluating an expression surely changes nothing, so that its moment does not matter."""
        match node:
            case ast.Name() | ast.Constant():
                return True
            case ast.Attribute(value=value) | ast.Starred(value=value):
                return self.is_pure(value)
            case ast.Subscript(value=value, slice=index):
                return self.is_pure(value) and self.is_pure(index)
            case ast.Slice():
                return all(self.is_pure(part) for part in (node.lower, node.upper, node.step) if part)
            case ast.BinOp(left=left, right=right):
                return self.is_pure(left) and self.is_pure(right)
            case ast.UnaryOp(operand=operand):
                return self.is_pure(operand)
            case ast.Compare(left=left, comparators=others):
                return self.is_pure(left) and all(self.is_pure(other) for other in others)
            case ast.Tuple(elts=parts) | ast.List(elts=parts) | ast.BoolOp(values=parts):
                return all(self.is_pure(part) for part in parts)
            case ast.Call(func=ast.Name(id=name), args=arguments, keywords=[]):
                known = name in PURE_FUNCTIONS - self.defined
                return known and all(self.is_pure(argument) for argument in arguments)
            case ast.Call(func=ast.Attribute(value=value, attr=name), args=arguments, keywords=[]):
                known = name in PURE_METHODS - self.defined
                return known and all(self.is_pure(part) for part in [value, *arguments])
        return False

    def is_numeric(self, node: ast.expr) -> bool:
        """Say whether the value is surely a number or a tensor, and no text or list that `+` would join."""
        match node:
            case (
                ast.UnaryOp(op=ast.USub()) | ast.BinOp(op=ast.Sub() | ast.Div() | ast.FloorDiv() | ast.Pow())
            ):
                return True
            case ast.BinOp(left=left, op=ast.Mult(), right=right):
                both = self.is_numeric(left) and self.is_numeric(right)
                return both or self.is_fractional(left) or self.is_fractional(right)
            case ast.BinOp(left=left, op=ast.Add(), right=right):
                return self.is_numeric(left) or self.is_numeric(right)
            case ast.Name():
                return self.is_scalar(node) or self.annotation(node) in NUMERIC_TYPES
        return self.is_scalar(node)

    def is_fractional(self, node: ast.expr) -> bool:
        """Say whether the value is surely a float or a tensor, by which no list can be multiplied."""
        match node:
            case ast.Constant(value=value):
                return isinstance(value, float)
            case ast.Name():
                return self.annotation(node) in TENSOR_TYPES
            case ast.BinOp(op=ast.Div()):
                return True
            case ast.UnaryOp(op=ast.USub(), operand=operand):
                return self.is_fractional(operand)
        return False

    def is_scalar(self, node: ast.expr, follow: bool = True) -> bool:
        """Say whether the value is surely an int or a float, which no `+=` can change in place.

        With `follow`, also what local names are bound to counts.
        """
        match node:
            case ast.Constant():
                return is_number(node)
            case ast.UnaryOp(op=ast.USub(), operand=operand):
                return self.is_scalar(operand, follow)
            case ast.BinOp(left=left, op=op, right=right):
                both = self.is_scalar(left, follow) and self.is_scalar(right, follow)
                return both and isinstance(op, ARITHMETIC)
            case ast.Call(func=ast.Name(id=name)):
                return name in SCALAR_FUNCTIONS - self.defined or self.returned.get(name) in SCALAR_TYPES
            case ast.Call(func=ast.Attribute(value=ast.Name(id="math"), attr="sqrt" | "ceil" | "floor")):
                return True
            case ast.Call(func=ast.Attribute(value=ast.Name(id="self"), attr=name)):
                return self.returned.get(name) in SCALAR_TYPES
            case ast.Call(func=ast.Attribute(attr="size"), args=[_]):
                return "size" not in self.defined
            case ast.Name(id=name):
                known = name in self.constants or self.annotation(node) in SCALAR_TYPES
                return known or (follow and self.is_scalar_local(node))
        return False

    def is_scalar_local(self, name: ast.Name) -> bool:
        """Say whether a local name is bound to scalars wherever it is bound."""
        function = self.module.function_around(name)
        if function is None or name.id in parameters_in(function):
            return False
        stores = [
            node
            for node in ast.walk(function)
            if isinstance(node, ast.Name) and node.id == name.id and not isinstance(node.ctx, ast.Load)
        ]
        return bool(stores) and all(self.binds_scalar(store) for store in stores)

    def binds_scalar(self, store: ast.Name) -> bool:
        """Say whether what binds a name here surely gives it a scalar."""
        match self.module.parents[store]:
            case ast.Assign(targets=[target], value=value) | ast.AugAssign(target=target, value=value):
                return target is store and self.is_scalar(value, follow=False)
        return False

    def annotation(self, name: ast.Name) -> str:
        """Return the annotation of the parameter that a name surely means, "" if it is none."""
        function = next((one for one in self.module.ancestors(name) if isinstance(one, FunctionNode)), None)
        if function is None or function is not self.module.function_around(name):
            return ""
        bound_anew = any(
            isinstance(node, ast.Name) and node.id == name.id and not isinstance(node.ctx, ast.Load)
            for node in ast.walk(function)
        )
        for argument in arguments_of(function):
            if argument.arg == name.id and argument.annotation is not None and not bound_anew:
                return ast.unparse(argument.annotation)
        return ""


def arguments_of(function: FunctionNode | ast.Lambda) -> list[ast.arg]:
    """Return the parameters of a function."""
    every = function.args
    stars = [one for one in (every.vararg, every.kwarg) if one is not None]
    return [*every.posonlyargs, *every.args, *every.kwonlyargs, *stars]


def parameters_in(node: ast.AST) -> set[str]:
    """Return the names of the parameters of all functions in a node, itself included."""
    functions = [one for one in ast.walk(node) if isinstance(one, FunctionNode | ast.Lambda)]
    return {argument.arg for function in functions for argument in arguments_of(function)}


def is_number(node: ast.expr) -> bool:
    """Say whether an expression is a literal number."""
    return isinstance(node, ast.Constant) and type(node.value) in (int, float)


def is_constant_like(node: ast.expr) -> bool:
    """Say whether a linter takes an expression for a constant, which it wants on the right of `==`."""
    match node:
        case ast.Constant():
            return True
        case ast.Name(id=name) | ast.Attribute(attr=name):
            return name.isupper()
        case ast.UnaryOp(operand=operand):
            return is_constant_like(operand)
        case ast.BinOp(left=left, right=right):
            return is_constant_like(left) and is_constant_like(right)
        case ast.Tuple(elts=parts) | ast.List(elts=parts) | ast.Set(elts=parts):
            return all(is_constant_like(part) for part in parts)
    return isinstance(node, ast.Dict)


def names_in(node: ast.AST) -> set[str]:
    """Return the names that occur in a node."""
    return {part.id for part in ast.walk(node) if isinstance(part, ast.Name)}
