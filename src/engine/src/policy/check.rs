//! The check of a condition before it ever runs: every name is a known fact, every operation has operands it takes, and the
//! most steps that it can need are few enough.
//!
//! The interpreter has no limit of its own, so the limit is proved here: every node costs what its operation costs, what is
//! inside a comprehension costs so for each element that its list can hold, and lists of facts are bounded. What grows a text
//! or a list is not allowed, so nothing is larger than the facts.

use cel::common::ast::{CallExpr, ComprehensionExpr, Expr, IdedExpr, LiteralValue, SelectExpr, operators};

use super::{
    nearest::nearest,
    schema::{Field, ROOTS, Type, field},
};

/// Nodes deep that a condition may be, macros expanded.
const DEEPEST: usize = 64;
/// Comprehensions inside one another.
const MOST_NESTED: usize = 2;
/// Steps of one node.
const STEP: u64 = 1;
/// Steps of looking into a text of [`super::facts::LONGEST_TEXT`] bytes for another.
const TEXT_STEPS: u64 = 10;
/// Steps of handing one element of a list to what is asked of it.
const ELEMENT_STEPS: u64 = 10;

/// What a condition is, once checked.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Checked {
    /// The most steps it can need.
    pub(super) steps: u64,
    /// The facts it asks of, each with its path, in the order in which they are named.
    pub(super) inputs: Vec<String>,
}

/// Why a condition is refused.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Problem {
    /// The node.
    pub(super) node: u64,
    /// What is wrong.
    pub(super) what: String,
    /// What to write instead.
    pub(super) remedy: String,
}

/// The type of a node.
#[derive(Debug, Clone, PartialEq, Eq)]
enum Kind {
    Bool,
    Int,
    Double,
    Text,
    /// A list of at most so many; of what is not known while it is empty.
    List(Option<Box<Self>>, usize),
    Labels,
    Object(&'static [Field]),
}

impl Kind {
    fn of(kind: Type) -> Self {
        match kind {
            Type::Bool => Self::Bool,
            Type::Int => Self::Int,
            Type::Double => Self::Double,
            Type::Text => Self::Text,
            Type::List(of, most) => Self::List(Some(Box::new(Self::of(*of))), most),
            Type::Labels => Self::Labels,
            Type::Object(fields) => Self::Object(fields),
        }
    }

    fn name(&self) -> &'static str {
        match self {
            Self::Bool => "true or false",
            Self::Int => "a whole number",
            Self::Double => "a number",
            Self::Text => "a text",
            Self::List(..) => "a list",
            Self::Labels => "labels",
            Self::Object(_) => "a group of facts",
        }
    }

    fn is_number(&self) -> bool {
        matches!(self, Self::Int | Self::Double)
    }

    /// The type of both, where they go together.
    fn and(self, other: Self) -> Option<Self> {
        match (self, other) {
            (Self::List(None, left), Self::List(of, right)) | (Self::List(of, left), Self::List(None, right)) => {
                Some(Self::List(of, left.max(right)))
            }
            (Self::List(Some(left), most), Self::List(Some(right), other)) => {
                Some(Self::List(Some(Box::new(left.and(*right)?)), most.max(other)))
            }
            (left, right) => (left == right).then_some(left),
        }
    }
}

/// A type and the most steps to it.
type Costed = (Kind, u64);
type Result<T> = std::result::Result<T, Problem>;

/// Checks a condition.
pub(super) fn check(condition: &IdedExpr) -> Result<Checked> {
    let mut walk = Walk::default();
    let (kind, steps) = walk.node(condition)?;
    if kind != Kind::Bool {
        let remedy = "write a condition, for example size(diff.images) > 0".to_owned();
        return Err(Problem { node: condition.id, what: format!("the condition is {}, not true or false", kind.name()), remedy });
    }
    Ok(Checked { steps, inputs: walk.inputs })
}

/// A walk over the nodes of a condition.
#[derive(Default)]
struct Walk {
    /// Names that comprehensions bind, the innermost last.
    scopes: Vec<(String, Kind)>,
    inputs: Vec<String>,
    depth: usize,
    nested: usize,
}

fn wrong<T>(node: u64, what: impl Into<String>, remedy: impl Into<String>) -> Result<T> {
    Err(Problem { node, what: what.into(), remedy: remedy.into() })
}

impl Walk {
    fn node(&mut self, node: &IdedExpr) -> Result<Costed> {
        self.depth += 1;
        if self.depth > DEEPEST {
            return wrong(node.id, format!("it is nested more than {DEEPEST} deep"), "split it into rules of their own");
        }
        let costed = self.by_kind(node);
        self.depth -= 1;
        costed
    }

    fn by_kind(&mut self, node: &IdedExpr) -> Result<Costed> {
        match &node.expr {
            Expr::Literal(literal) => Ok((constant(node.id, literal)?, STEP)),
            Expr::Ident(_) | Expr::Select(_) => self.fact(node),
            Expr::Call(call) => self.call(node.id, call),
            Expr::List(list) => {
                let (mut of, mut steps) = (None, STEP);
                for element in &list.elements {
                    let (kind, cost) = self.node(element)?;
                    steps += cost;
                    of = Some(match of {
                        None => kind,
                        Some(former) => {
                            let Some(both) = Kind::and(former, kind) else {
                                return wrong(element.id, "a list of different types", "write texts alone, or numbers alone");
                            };
                            both
                        }
                    });
                }
                Ok((Kind::List(of.map(Box::new), list.elements.len()), steps))
            }
            Expr::Comprehension(comprehension) => self.comprehension(node.id, comprehension),
            Expr::Map(_) | Expr::Struct(_) => wrong(node.id, "a map is of no use in a condition", "compare the facts one by one"),
            Expr::Unspecified => wrong(node.id, "it is not complete", "write a whole condition"),
        }
    }

    /// A fact by its path, remembered as one that is asked of.
    fn fact(&mut self, node: &IdedExpr) -> Result<Costed> {
        if let Some(path) = self.path(node).filter(|path| !self.inputs.contains(path)) {
            self.inputs.push(path);
        }
        self.part(node)
    }

    fn part(&mut self, node: &IdedExpr) -> Result<Costed> {
        match &node.expr {
            Expr::Ident(name) => Ok((self.named(node.id, name)?, STEP)),
            Expr::Select(select) => self.select(node.id, select),
            _ => self.node(node),
        }
    }

    /// `diff.images` for a fact; nothing for what a comprehension bound.
    fn path(&self, node: &IdedExpr) -> Option<String> {
        match &node.expr {
            Expr::Ident(name) if self.bound(name).is_none() => Some(name.clone()),
            Expr::Select(select) => Some(format!("{}.{}", self.path(&select.operand)?, select.field)),
            _ => None,
        }
    }

    fn bound(&self, name: &str) -> Option<&Kind> {
        self.scopes.iter().rev().find(|(bound, _)| bound == name).map(|(_, kind)| kind)
    }

    fn named(&self, node: u64, name: &str) -> Result<Kind> {
        if let Some(kind) = self.bound(name) {
            return Ok(kind.clone());
        }
        if let Some(root) = field(ROOTS, name) {
            return Ok(Kind::of(root.kind));
        }
        let known = ROOTS.iter().map(|root| root.name).chain(self.scopes.iter().map(|(name, _)| name.as_str()));
        wrong(node, format!("there is no fact {name}"), instead(name, known, ROOTS))
    }

    fn select(&mut self, node: u64, select: &SelectExpr) -> Result<Costed> {
        let (operand, steps) = self.part(&select.operand)?;
        let name = &select.field;
        let kind = match operand {
            Kind::Object(fields) => match field(fields, name) {
                Some(field) => Kind::of(field.kind),
                None => {
                    let whose = self.path(&select.operand).map_or_else(String::new, |path| format!("{path}."));
                    let known = fields.iter().map(|field| field.name);
                    return wrong(node, format!("there is no fact {whose}{name}"), instead(name, known, fields));
                }
            },
            Kind::Labels => Kind::Text,
            other => {
                let remedy = match other {
                    Kind::List(..) => "ask of its elements: .exists(x, ...), .all(x, ...), or size(...)",
                    _ => "compare it as it is",
                };
                return wrong(node, format!("{} has no part {name}", other.name()), remedy);
            }
        };
        Ok((if select.test { Kind::Bool } else { kind }, steps + STEP))
    }

    fn comprehension(&mut self, node: u64, of: &ComprehensionExpr) -> Result<Costed> {
        if self.nested >= MOST_NESTED {
            let remedy = "write a rule of its own for the inner part";
            return wrong(node, format!("more than {MOST_NESTED} of exists, all, filter and map are inside one another"), remedy);
        }
        let (range, range_steps) = self.node(&of.iter_range)?;
        let (element, most) = match range {
            Kind::List(element, most) => (element.map_or(Kind::Bool, |element| *element), most),
            Kind::Labels => (Kind::Text, super::facts::MOST_LABELS),
            other => {
                let remedy = "use it on a list of facts, for example diff.env.exists(e, e.secret)";
                return wrong(of.iter_range.id, format!("{} has no elements", other.name()), remedy);
            }
        };
        if of.iter_var2.is_some() || field(ROOTS, &of.iter_var).is_some() {
            let remedy = "name the element otherwise, for example x";
            return wrong(node, format!("{} is the name of facts already", of.iter_var), remedy);
        }
        self.nested += 1;
        let (start, start_steps) = self.node(&of.accu_init)?;
        self.scopes.push((of.iter_var.clone(), element));
        self.scopes.push((of.accu_var.clone(), start.clone()));
        let (_, condition) = self.node(&of.loop_cond)?;
        let (step, step_steps) = self.node(&of.loop_step)?;
        let gathered = match (start, step) {
            // What filter and map gather is as long as the list at most.
            (Kind::List(..), Kind::List(of, _)) => Kind::List(of, most),
            (start, _) => start,
        };
        if let Some((_, kind)) = self.scopes.last_mut() {
            *kind = gathered;
        }
        let (result, result_steps) = self.node(&of.result)?;
        self.scopes.truncate(self.scopes.len().saturating_sub(2));
        self.nested -= 1;
        let each = condition.saturating_add(step_steps).saturating_add(ELEMENT_STEPS);
        let all = each.saturating_mul(u64::try_from(most).unwrap_or(u64::MAX));
        Ok((result, STEP + range_steps.saturating_add(start_steps).saturating_add(all).saturating_add(result_steps)))
    }

    fn call(&mut self, node: u64, call: &CallExpr) -> Result<Costed> {
        if !is_operator(&call.func_name) && !FUNCTIONS.contains(&call.func_name.as_str()) {
            return Err(no_such(node, call, &[]));
        }
        let mut kinds = Vec::new();
        let mut steps = STEP;
        for operand in call.target.iter().map(|target| &**target).chain(&call.args) {
            let (kind, cost) = self.node(operand)?;
            steps = steps.saturating_add(cost);
            kinds.push(kind);
        }
        let kind = match (&kinds[..], call.target.is_some()) {
            ([Kind::List(..), Kind::List(..)], _) if call.func_name == operators::ADD && !gathers(call) => None,
            ([one], true) if call.func_name != "size" => method(&call.func_name, one, &Kind::Bool),
            ([one], _) => unary(&call.func_name, one),
            ([left, right], false) => operation(&call.func_name, left, right),
            ([left, right], true) => {
                steps = steps.saturating_add(TEXT_STEPS);
                method(&call.func_name, left, right)
            }
            ([Kind::Bool, yes, no], false) if call.func_name == operators::CONDITIONAL => yes.clone().and(no.clone()),
            _ => None,
        };
        if let (Some(Kind::List(_, most)), operators::IN) = (kinds.last(), call.func_name.as_str()) {
            steps = steps.saturating_add(u64::try_from(*most).unwrap_or(u64::MAX));
        }
        match kind {
            Some(kind) => Ok((kind, steps)),
            None => Err(no_such(node, call, &kinds)),
        }
    }
}

/// Whether lists are added as filter and map do it, which gathers no more than the list that they go over.
fn gathers(call: &CallExpr) -> bool {
    // No name that people write begins so.
    matches!(call.args.first().map(|first| &first.expr), Some(Expr::Ident(name)) if name.starts_with('@'))
}

fn constant(node: u64, literal: &LiteralValue) -> Result<Kind> {
    match literal {
        LiteralValue::Boolean(_) => Ok(Kind::Bool),
        LiteralValue::Int(_) => Ok(Kind::Int),
        LiteralValue::Double(_) => Ok(Kind::Double),
        LiteralValue::String(_) => Ok(Kind::Text),
        LiteralValue::Null => wrong(node, "no fact is null", "ask whether a fact is there: has(history.shareTakenBack)"),
        LiteralValue::UInt(_) => wrong(node, "no fact is an unsigned number", "write it without the u"),
        LiteralValue::Bytes(_) => wrong(node, "no fact is bytes", "write a text, without the b"),
    }
}

fn unary(name: &str, of: &Kind) -> Option<Kind> {
    match (name, of) {
        (operators::LOGICAL_NOT | operators::NOT_STRICTLY_FALSE, Kind::Bool) => Some(Kind::Bool),
        (operators::NEGATE, number) if number.is_number() => Some(number.clone()),
        ("size", Kind::Text | Kind::List(..) | Kind::Labels) => Some(Kind::Int),
        ("int", number) if number.is_number() => Some(Kind::Int),
        ("double", number) if number.is_number() => Some(Kind::Double),
        _ => None,
    }
}

fn operation(name: &str, left: &Kind, right: &Kind) -> Option<Kind> {
    let numbers = left.is_number() && right.is_number();
    match name {
        operators::LOGICAL_AND | operators::LOGICAL_OR => (*left == Kind::Bool && *right == Kind::Bool).then_some(Kind::Bool),
        // Two lists or groups of facts are not compared: that would cost what they hold.
        operators::EQUALS | operators::NOT_EQUALS => {
            let plain = left == right && matches!(left, Kind::Bool | Kind::Text);
            (plain || numbers).then_some(Kind::Bool)
        }
        operators::LESS | operators::LESS_EQUALS | operators::GREATER | operators::GREATER_EQUALS => {
            (numbers || (*left == Kind::Text && *right == Kind::Text)).then_some(Kind::Bool)
        }
        operators::ADD => match (left, right) {
            (Kind::List(..), Kind::List(..)) => left.clone().and(right.clone()),
            _ => (numbers && left == right).then(|| left.clone()),
        },
        operators::SUBSTRACT | operators::MULTIPLY | operators::DIVIDE => (numbers && left == right).then(|| left.clone()),
        operators::MODULO => (*left == Kind::Int && *right == Kind::Int).then_some(Kind::Int),
        operators::IN => match right {
            Kind::List(None, _) => Some(Kind::Bool),
            Kind::List(Some(of), _) => (**of == *left && matches!(left, Kind::Text | Kind::Int)).then_some(Kind::Bool),
            Kind::Labels => (*left == Kind::Text).then_some(Kind::Bool),
            _ => None,
        },
        operators::INDEX => match (left, right) {
            (Kind::List(Some(of), _), Kind::Int) => Some((**of).clone()),
            (Kind::Labels, Kind::Text) => Some(Kind::Text),
            _ => None,
        },
        _ => None,
    }
}

fn method(name: &str, of: &Kind, argument: &Kind) -> Option<Kind> {
    let texts = *of == Kind::Text && *argument == Kind::Text;
    (texts && matches!(name, "startsWith" | "endsWith" | "contains")).then_some(Kind::Bool)
}

/// Functions and macros that a condition may use.
const FUNCTIONS: [&str; 12] =
    ["has", "size", "exists", "all", "exists_one", "filter", "map", "startsWith", "endsWith", "contains", "int", "double"];

/// Whether a function is an operator, as the parser names them: `_&&_`, `@in`.
fn is_operator(name: &str) -> bool {
    name.chars().any(|letter| !letter.is_alphanumeric() && letter != '_') || name.starts_with('_')
}

fn no_such(node: u64, call: &CallExpr, kinds: &[Kind]) -> Problem {
    let name = call.func_name.as_str();
    if !is_operator(name) && !FUNCTIONS.contains(&name) {
        let near = nearest(name, FUNCTIONS.into_iter()).map_or(String::new(), |near| format!("did you mean {near}? "));
        let remedy = format!("{near}Functions are {}", FUNCTIONS.join(", "));
        return Problem { node, what: format!("there is no function {name} here"), remedy };
    }
    let of: Vec<&str> = kinds.iter().map(Kind::name).collect();
    let shown = name.trim_matches('_').trim_start_matches('@');
    let remedy = match (kinds, name) {
        ([Kind::List(..), _] | [_, Kind::List(..)], operators::EQUALS | operators::NOT_EQUALS) => {
            "compare size(...), or ask of the elements with exists or all"
        }
        ([Kind::Int, Kind::Double] | [Kind::Double, Kind::Int], _) => "make both the same: double(...) or 1.0",
        _ => "compare like with like: texts with texts, numbers with numbers",
    };
    Problem { node, what: format!("{shown} does not go with {}", of.join(" and ")), remedy: remedy.to_owned() }
}

/// What to write in place of an unknown name.
fn instead<'a>(name: &str, known: impl Iterator<Item = &'a str>, fields: &[Field]) -> String {
    match nearest(name, known) {
        Some(near) => format!("did you mean {near}?"),
        None => {
            let names: Vec<&str> = fields.iter().map(|field| field.name).collect();
            format!("known here: {}", names.join(", "))
        }
    }
}
