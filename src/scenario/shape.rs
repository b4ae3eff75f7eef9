//! Checks an expression against the names of an object before anything runs, so that no mistake waits for the end of a long search.
//!
//! Expressions are CEL. What is checked: every name exists, fields and indices fit, only like is compared with like, and
//! no function is called that there is not. Start at [`Checker::shape`].

use std::collections::BTreeSet;

use cel::IdedExpr;
use cel::common::ast::{CallExpr, ComprehensionExpr, Expr, LiteralValue, SelectExpr, operators};

use super::layout::Layout;
use super::names::{Access, Names};

/// What kind of value an expression gives.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Shape {
    /// A whole number.
    Number,
    /// True or false.
    Truth,
    /// Text.
    Text,
    /// A pointer; only whether it is null is seen. `kernel`: in a kptr field.
    Pointer { kernel: bool },
    /// `null`.
    Null,
    /// A list, with as many elements as are known.
    List(Box<Shape>, Option<u64>),
    /// A struct.
    Record(Layout),
    /// A map by key.
    Table { text_keys: bool, value: Box<Shape> },
    /// The elements of an empty list.
    Nothing,
    /// `globals`.
    Globals,
    /// `maps`.
    Maps,
}

/// For each test run of the tasks, and of `last`, whether what the program returns is lost.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(super) struct Returns {
    /// Of the tasks.
    pub(super) among: Vec<bool>,
    /// Of `last`.
    pub(super) after: Vec<bool>,
}

impl Returns {
    /// The values of that name.
    fn named(&self, name: &str) -> &[bool] {
        if name == "last" { &self.after } else { &self.among }
    }
}

/// What an expression reads.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(super) struct Reads {
    /// Globals by name.
    pub(super) globals: BTreeSet<String>,
    /// Maps by name.
    pub(super) maps: BTreeSet<String>,
}

/// Finds out what an expression gives, and what it reads on the way.
pub(super) struct Checker<'a> {
    pub(super) names: &'a Names,
    /// The return values of the tasks and of `last`; `None` where there are none yet.
    pub(super) returns: Option<&'a Returns>,
    /// The values of a per-CPU map's entry.
    pub(super) cpus: u32,
    pub(super) reads: Reads,
    /// Was a kptr looked at?
    pub(super) kernel_pointers: bool,
    variables: Vec<(String, Shape)>,
}

type Checked = Result<Shape, String>;

/// Functions that expressions may call.
const FUNCTIONS: [&str; 3] = ["size", "int", "uint"];

impl<'a> Checker<'a> {
    pub(super) fn new(names: &'a Names, returns: Option<&'a Returns>, cpus: u32) -> Checker<'a> {
        Checker { names, returns, cpus, reads: Reads::default(), kernel_pointers: false, variables: Vec::new() }
    }

    /// What the expression gives.
    ///
    /// # Errors
    /// A sentence that says what does not fit, and what there is.
    pub(super) fn shape(&mut self, expression: &IdedExpr) -> Checked {
        let shape = self.shape_of(expression)?;
        self.kernel_pointers |= matches!(shape, Shape::Pointer { kernel: true });
        Ok(shape)
    }

    fn shape_of(&mut self, expression: &IdedExpr) -> Checked {
        match &expression.expr {
            Expr::Ident(name) => self.name(name),
            Expr::Literal(literal) => Ok(match literal {
                LiteralValue::Boolean(_) => Shape::Truth,
                LiteralValue::Int(_) | LiteralValue::UInt(_) => Shape::Number,
                LiteralValue::String(_) => Shape::Text,
                LiteralValue::Null => Shape::Null,
                LiteralValue::Double(_) | LiteralValue::Bytes(_) => {
                    return Err("there are only whole numbers, text, `true`, `false` and `null`".into());
                }
            }),
            Expr::Select(select) => self.select(select),
            Expr::Call(call) => self.call(call),
            Expr::List(list) => {
                let mut element = Shape::Nothing;
                for one in &list.elements {
                    let shape = self.shape(one)?;
                    element = common(element, shape)?;
                }
                Ok(Shape::List(Box::new(element), Some(list.elements.len() as u64)))
            }
            Expr::Comprehension(comprehension) => self.comprehension(comprehension),
            Expr::Map(_) | Expr::Struct(_) | Expr::Unspecified => Err("maps and structs cannot be written down".into()),
        }
    }

    fn name(&self, name: &str) -> Checked {
        if let Some((_, shape)) = self.variables.iter().rev().find(|(known, _)| known == name) {
            return Ok(shape.clone());
        }
        match name {
            "globals" => Ok(Shape::Globals),
            "maps" => Ok(Shape::Maps),
            "cpus" => Ok(Shape::Number),
            "returns" | "last" => match self.returns {
                Some(returns) => Ok(Shape::List(Box::new(Shape::Number), Some(returns.named(name).len() as u64))),
                None => Err(format!("`{name}` is known only at the end; `always` may ask for globals and maps")),
            },
            _ => Err(format!("there is no `{name}`; there are {}", self.roots())),
        }
    }

    fn roots(&self) -> String {
        let mut roots = vec!["`globals`", "`maps`", "`cpus`"];
        if self.returns.is_some() {
            roots.extend(["`returns`", "`last`"]);
        }
        roots.join(", ")
    }

    fn select(&mut self, select: &SelectExpr) -> Checked {
        let operand = self.shape(&select.operand)?;
        let shape = self.member(operand, &select.field)?;
        Ok(if select.test { Shape::Truth } else { shape })
    }

    fn member(&mut self, operand: Shape, field: &str) -> Checked {
        match operand {
            Shape::Globals => {
                let names = self.names;
                let global = names.globals.get(field).ok_or_else(|| missing("global", field, names.globals.keys()))?;
                self.reads.globals.insert(field.to_owned());
                visible(&global.layout).ok_or_else(|| format!("global `{field}` belongs to the kernel and is not read"))
            }
            Shape::Maps => {
                let names = self.names;
                let map =
                    names.maps.get(field).ok_or_else(|| missing("map that can be read", field, names.maps.keys()))?;
                self.reads.maps.insert(field.to_owned());
                let value =
                    visible(&map.value).ok_or_else(|| format!("the type of map `{field}`'s values is not known"))?;
                let value = if map.per_cpu { Shape::List(Box::new(value), Some(u64::from(self.cpus))) } else { value };
                Ok(match map.access {
                    Access::Array | Access::Owner => Shape::List(Box::new(value), None),
                    Access::Number(_) => Shape::Table { text_keys: false, value: Box::new(value) },
                    Access::Text(_) => Shape::Table { text_keys: true, value: Box::new(value) },
                })
            }
            Shape::Record(Layout::Record(fields)) => {
                let found = fields.iter().find(|one| one.name == field).and_then(|one| visible(&one.layout));
                found.ok_or_else(|| missing("field", field, fields.iter().map(|field| &field.name)))
            }
            other => Err(format!("{} has no field `{field}`", other.description())),
        }
    }

    fn call(&mut self, call: &CallExpr) -> Checked {
        let operands: Vec<&IdedExpr> = call.target.as_deref().into_iter().chain(&call.args).collect();
        match (call.func_name.as_str(), operands.as_slice()) {
            (operators::INDEX, [list, index]) => self.index(list, index),
            (operators::EQUALS | operators::NOT_EQUALS, [one, other]) => {
                let shapes = (self.shape(one)?, self.shape(other)?);
                match &shapes {
                    (Shape::Pointer { .. }, Shape::Null) | (Shape::Null, Shape::Pointer { .. }) => {}
                    (Shape::Pointer { .. }, Shape::Pointer { .. }) => {
                        return Err("two pointers cannot be compared: only whether one is null is seen".into());
                    }
                    (Shape::Record(_) | Shape::Table { .. }, _) => return Err("compare the fields instead".into()),
                    _ => drop(common(shapes.0, shapes.1)?),
                }
                Ok(Shape::Truth)
            }
            (
                operators::LESS | operators::LESS_EQUALS | operators::GREATER | operators::GREATER_EQUALS,
                [one, other],
            ) => {
                self.need(one, &Shape::Number)?;
                self.need(other, &Shape::Number)?;
                Ok(Shape::Truth)
            }
            (operators::LOGICAL_AND | operators::LOGICAL_OR, [one, other]) => {
                self.need(one, &Shape::Truth)?;
                self.need(other, &Shape::Truth)
            }
            (operators::LOGICAL_NOT | operators::NOT_STRICTLY_FALSE, [one]) => self.need(one, &Shape::Truth),
            (operators::CONDITIONAL, [condition, one, other]) => {
                self.need(condition, &Shape::Truth)?;
                let one = self.shape(one)?;
                let other = self.shape(other)?;
                common(one, other)
            }
            (operators::ADD, [one, other]) => match (self.shape(one)?, self.shape(other)?) {
                (Shape::List(one, _), Shape::List(other, _)) => Ok(Shape::List(Box::new(common(*one, *other)?), None)),
                (Shape::Number, Shape::Number) => Ok(Shape::Number),
                (one, other) => Err(format!("{} and {} cannot be added", one.description(), other.description())),
            },
            (operators::SUBSTRACT | operators::MULTIPLY | operators::DIVIDE | operators::MODULO, [one, other]) => {
                self.need(one, &Shape::Number)?;
                self.need(other, &Shape::Number)
            }
            (operators::NEGATE | "int" | "uint", [one]) => self.need(one, &Shape::Number),
            (operators::IN, [element, list]) => {
                let element = self.shape(element)?;
                match self.shape(list)? {
                    Shape::List(of, _) => common(element, *of)?,
                    Shape::Table { text_keys, .. } => common(element, key_shape(text_keys))?,
                    other => return Err(format!("{} contains nothing", other.description())),
                };
                Ok(Shape::Truth)
            }
            ("size", [one]) => match self.shape(one)? {
                Shape::List(..) | Shape::Table { .. } | Shape::Text => Ok(Shape::Number),
                other => Err(format!("{} has no size", other.description())),
            },
            (name, _) => Err(format!("there is no function `{name}` for that; there are {}", FUNCTIONS.join(", "))),
        }
    }

    fn need(&mut self, expression: &IdedExpr, wanted: &Shape) -> Checked {
        let shape = self.shape(expression)?;
        if shape == *wanted {
            return Ok(shape);
        }
        Err(format!("{} stands where {} is needed", shape.description(), wanted.description()))
    }

    fn index(&mut self, list: &IdedExpr, index: &IdedExpr) -> Checked {
        if let (Expr::Ident(name), Expr::Literal(LiteralValue::Int(at)), Some(returns)) =
            (&list.expr, &index.expr, self.returns)
            && matches!(name.as_str(), "returns" | "last")
            && usize::try_from(*at.inner()).is_ok_and(|at| returns.named(name).get(at) == Some(&true))
        {
            return Err("a test run of a tracing program does not tell what the program returns".into());
        }
        let list = self.shape(list)?;
        if let (Shape::Globals | Shape::Maps | Shape::Record(_), Expr::Literal(LiteralValue::String(name))) =
            (&list, &index.expr)
        {
            return self.member(list, name.inner());
        }
        match list {
            Shape::List(element, count) => {
                self.need(index, &Shape::Number)?;
                if let (Some(count), Expr::Literal(LiteralValue::Int(at))) = (count, &index.expr) {
                    let at = *at.inner();
                    if u64::try_from(at).map_or(true, |at| at >= count) {
                        return Err(format!("there is no element {at}: there are {count}, numbered from 0"));
                    }
                }
                Ok(*element)
            }
            Shape::Table { text_keys, value } => {
                self.need(index, &key_shape(text_keys))?;
                Ok(*value)
            }
            other => Err(format!("{} has no elements", other.description())),
        }
    }

    fn comprehension(&mut self, comprehension: &ComprehensionExpr) -> Checked {
        let element = match self.shape(&comprehension.iter_range)? {
            Shape::List(element, _) => *element,
            Shape::Table { text_keys, .. } => key_shape(text_keys),
            other => return Err(format!("{} has no elements", other.description())),
        };
        if comprehension.iter_var2.is_some() {
            return Err("there are only macros with one variable".into());
        }
        let start = self.shape(&comprehension.accu_init)?;
        self.variables.push((comprehension.accu_var.clone(), start.clone()));
        self.variables.push((comprehension.iter_var.clone(), element));
        let step = self.shape(&comprehension.loop_step).and_then(|step| common(start, step));
        let condition = self.need(&comprehension.loop_cond, &Shape::Truth);
        self.variables.pop();
        if let (Some(accumulator), Ok(step)) = (self.variables.last_mut(), &step) {
            accumulator.1 = step.clone();
        }
        let result = self.shape(&comprehension.result);
        self.variables.pop();
        step.and(condition).and(result)
    }
}

impl Shape {
    /// What it is called in a message.
    pub(super) fn description(&self) -> &'static str {
        match self {
            Shape::Number => "a number",
            Shape::Truth => "a truth value",
            Shape::Text => "text",
            Shape::Pointer { .. } => "a pointer",
            Shape::Null => "`null`",
            Shape::List(..) => "a list",
            Shape::Record(_) => "a struct",
            Shape::Table { .. } => "a map",
            Shape::Nothing => "nothing",
            Shape::Globals => "`globals` without a name",
            Shape::Maps => "`maps` without a name",
        }
    }
}

fn key_shape(text: bool) -> Shape {
    if text { Shape::Text } else { Shape::Number }
}

/// What expressions see of a layout; `None` for what they may not see.
fn visible(layout: &Layout) -> Option<Shape> {
    Some(match layout {
        Layout::Number { .. } => Shape::Number,
        Layout::Truth => Shape::Truth,
        Layout::Text { .. } => Shape::Text,
        Layout::Pointer { kernel } => Shape::Pointer { kernel: *kernel },
        Layout::List { element, count, .. } => Shape::List(Box::new(visible(element)?), Some(u64::from(*count))),
        Layout::Record(_) => Shape::Record(layout.clone()),
        Layout::Hidden => return None,
    })
}

/// The shape that both have.
fn common(one: Shape, other: Shape) -> Checked {
    match (one, other) {
        (Shape::Nothing, shape) | (shape, Shape::Nothing) => Ok(shape),
        (Shape::List(one, count), Shape::List(other, others)) => {
            let count = if count == others { count } else { None };
            Ok(Shape::List(Box::new(common(*one, *other)?), count))
        }
        (one, other) if one == other && !matches!(one, Shape::Globals | Shape::Maps) => Ok(one),
        (one, other) => Err(format!("{} is compared with {}", one.description(), other.description())),
    }
}

fn missing<'n>(kind: &str, name: &str, known: impl Iterator<Item = &'n String>) -> String {
    let known: Vec<&str> = known.map(String::as_str).collect();
    let list = if known.is_empty() { "there is none".to_owned() } else { format!("there are {}", known.join(", ")) };
    format!("there is no {kind} `{name}`; {list}")
}
