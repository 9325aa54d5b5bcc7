//! Running a checked condition over the facts.

use std::{
    panic::{AssertUnwindSafe, catch_unwind},
    sync::Arc,
};

use cel::{Context, Env, ExecutionError, Program, Value};
use serde::Serialize;

use super::{facts::Shown, schema};

/// What a condition says of the facts.
pub(super) enum Said {
    /// It holds.
    Yes,
    /// It does not.
    No,
    /// It cannot be told, with the reason and the remedy.
    Unknown(String, String),
}

/// The facts, ready to be asked.
pub(super) struct Asked {
    context: Option<Context<'static, 'static>>,
}

impl Asked {
    pub(super) fn new(env: &Arc<Env>, shown: &Shown) -> Self {
        Self { context: guarded(|| context(env, shown)).flatten() }
    }

    /// What a condition says, which asks of these facts.
    pub(super) fn of(&self, program: &Program, inputs: &[String]) -> Said {
        let Some(context) = &self.context else {
            return Said::Unknown("the facts cannot be read".to_owned(), "report it as a fault of Firebreak".to_owned());
        };
        match guarded(|| program.execute(context)) {
            Some(Ok(Value::Bool(true))) => Said::Yes,
            Some(Ok(Value::Bool(false))) => Said::No,
            Some(Ok(_)) => Said::Unknown("it is not true or false".to_owned(), "write a condition".to_owned()),
            Some(Err(error)) => failed(&error, inputs),
            None => Said::Unknown("the interpreter gave up".to_owned(), "write it more simply".to_owned()),
        }
    }
}

fn context(env: &Arc<Env>, shown: &Shown) -> Option<Context<'static, 'static>> {
    fn put(context: &mut Context<'static, 'static>, name: &str, value: &impl Serialize) -> Option<()> {
        context.add_variable_from_value(name, cel::to_value(value).ok()?);
        Some(())
    }
    let mut context = Context::with_env(Arc::clone(env));
    put(&mut context, "claims", &shown.claims)?;
    put(&mut context, "risk", &shown.risk)?;
    put(&mut context, "workload", &shown.workload)?;
    put(&mut context, "diff", &shown.diff)?;
    put(&mut context, "time", &shown.time)?;
    put(&mut context, "history", &shown.history)?;
    put(&mut context, "changer", &shown.changer)?;
    Some(context)
}

fn failed(error: &ExecutionError, inputs: &[String]) -> Said {
    match error {
        ExecutionError::NoSuchKey(name) => {
            let path = inputs.iter().find(|path| path.rsplit('.').next() == Some(name.as_str()));
            let remedy = match path {
                Some(path) => format!("ask for it first: has({path}) && ..."),
                None if schema::is_field(name) => format!("ask for it first: has(x.{name}) && ..."),
                None => format!("ask for it first: \"{name}\" in workload.labels && ..."),
            };
            let what = path.map_or(name.as_str(), String::as_str);
            Said::Unknown(format!("{what} is not known of this change"), remedy)
        }
        other => {
            let words: String = other.to_string().chars().take(200).collect();
            Said::Unknown(words, "write it so that it can be told of every change".to_owned())
        }
    }
}

/// Calls what is not ours: a panic in there is an answer that did not come.
pub(super) fn guarded<T>(call: impl FnOnce() -> T) -> Option<T> {
    catch_unwind(AssertUnwindSafe(call)).ok()
}
