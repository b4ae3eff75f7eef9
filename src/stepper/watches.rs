//! Watched values: a register of a CPU, a global or a part of it, a map's value or a field of it.
//!
//! `r6`, `1:r6`, `total`, `config.limits[2]`, `slots[0].counter`, `hits[3][1].count` (of a per-CPU map, the second index is the CPU).

use serde_json::Value;

use crate::machine::Machine;
use crate::report::run::RunReport;
use crate::report::value::plain;

use super::objects::Labels;
use super::recording::TaskState;

/// What is watched.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Watched {
    /// A register of the innermost call, of the actor of that number.
    Register {
        /// The actor.
        actor: u16,
        /// 0 to 10.
        number: usize,
    },
    /// A global or a map, by name.
    Memory {
        /// The name.
        name: String,
        /// `field` and `[index]` after it.
        path: Vec<Part>,
    },
}

/// A part of the way into a value.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Part {
    /// `.name`
    Field(String),
    /// `[index]`
    Index(String),
}

/// A watched value and what it was when it was looked at last.
#[derive(Clone, Debug)]
pub struct WatchedValue {
    /// As it was written.
    pub text: String,
    /// What is watched.
    pub what: Watched,
    /// What it was.
    pub last: String,
}

impl Watched {
    /// Reads what is to be watched; a register without an actor is the given one's.
    ///
    /// # Errors
    /// A sentence that says what can be given.
    pub fn parse(text: &str, actor: u16) -> Result<Watched, String> {
        let bad = || format!("`{text}` is no register (r6, 1:r6), global (total.hits) or map value (slots[0].counter)");
        let (owner, register) = text.split_once(':').map_or((None, text), |(owner, rest)| (Some(owner), rest));
        let number = register.strip_prefix('r').and_then(|digits| digits.parse().ok()).filter(|&number| number <= 10);
        if let Some(number) = number {
            let actor = owner.map_or(Ok(actor), str::parse).map_err(|_| bad())?;
            return Ok(Watched::Register { actor, number });
        }
        if owner.is_some() {
            return Err(bad());
        }
        let text = text.strip_prefix("globals.").or_else(|| text.strip_prefix("maps.")).unwrap_or(text);
        let end = text.find('[').unwrap_or(text.len());
        // A name of a global has no dot, but a section's as a map has.
        let end = text[..end].find('.').filter(|&dot| dot > 0).unwrap_or(end);
        let (name, mut rest) = text.split_at(end);
        let mut path = Vec::new();
        while !rest.is_empty() {
            if let Some(after) = rest.strip_prefix('.') {
                let end = after.find(['.', '[']).unwrap_or(after.len());
                path.push(Part::Field(after[..end].to_owned()));
                rest = &after[end..];
            } else {
                let (index, after) = rest.strip_prefix('[').and_then(|rest| rest.split_once(']')).ok_or_else(bad)?;
                path.push(Part::Index(index.trim().to_owned()));
                rest = after;
            }
        }
        let is_name = |c: char| c.is_ascii_alphanumeric() || c == '_';
        if name.is_empty() || !name.chars().all(is_name) {
            return Err(bad());
        }
        Ok(Watched::Memory { name: name.to_owned(), path })
    }

    /// The value now; `None` where there is none.
    #[must_use]
    pub fn value(&self, machine: &Machine, state: impl FnOnce(u16) -> Option<TaskState>) -> Option<String> {
        match self {
            Watched::Register { actor, number } => {
                let value = state(*actor)?.register(*number)?;
                Some(Labels::new(machine).value(value))
            }
            Watched::Memory { name, path } => memory(machine, name, path).map(|value| plain(&value)),
        }
    }

    /// Is there anything of that name, whatever its value now?
    #[must_use]
    pub fn is_known(&self, machine: &Machine) -> bool {
        match self {
            Watched::Register { .. } => true,
            Watched::Memory { name, .. } => {
                RunReport::new(machine, &[]).globals().contains_key(name)
                    || machine.object().maps.iter().any(|map| map.name == *name)
            }
        }
    }
}

fn memory(machine: &Machine, name: &str, path: &[Part]) -> Option<Value> {
    let report = RunReport::new(machine, &[]);
    if let Some(value) = report.globals().get(name) {
        return walk(value, path);
    }
    let index = machine.object().maps.iter().position(|map| map.name == name)?;
    let elements = report.elements(index)?;
    let Some((Part::Index(key), rest)) = path.split_first() else {
        return path.is_empty().then_some(Value::Array(elements));
    };
    let element = elements.iter().find(|element| is_key(&element["key"], key))?;
    walk(element.get("value").or_else(|| element.get("values"))?, rest)
}

fn is_key(key: &Value, text: &str) -> bool {
    plain(key) == text || key.as_str() == Some(text)
}

fn walk(value: &Value, path: &[Part]) -> Option<Value> {
    path.iter()
        .try_fold(value, |value, part| match part {
            Part::Field(name) => value.get(name.as_str()),
            Part::Index(index) => value.get(index.parse::<usize>().ok()?),
        })
        .cloned()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn watches_are_read_as_they_are_written() {
        let field = |name: &str| Part::Field(name.into());
        let index = |text: &str| Part::Index(text.into());
        let memory = |name: &str, path| Ok(Watched::Memory { name: name.into(), path });
        assert_eq!(Watched::parse("r6", 2), Ok(Watched::Register { actor: 2, number: 6 }));
        assert_eq!(Watched::parse("1:r10", 2), Ok(Watched::Register { actor: 1, number: 10 }));
        assert_eq!(Watched::parse("total", 0), memory("total", vec![]));
        assert_eq!(Watched::parse("globals.a.b[2]", 0), memory("a", vec![field("b"), index("2")]));
        assert_eq!(Watched::parse("slots[0].counter", 0), memory("slots", vec![index("0"), field("counter")]));
        assert_eq!(Watched::parse("r11", 0), memory("r11", vec![]));
        for wrong in ["", "x:r1", "a[1", "[0]", "a b", "1:total"] {
            assert!(Watched::parse(wrong, 0).is_err(), "{wrong}");
        }
    }
}
