//! A scenario's expressions, checked against its object: what must hold, what must always hold, what is observed.
//!
//! Start at [`Scenario::bind`].

use std::collections::{BTreeSet, HashMap};
use std::sync::Arc;

use cel::objects::{Key, Map as CelMap};
use cel::{Context, Env, IdedExpr, Program, Value};

use super::error::ScenarioError;
use super::layout::{Layout, render};
use super::model::{Condition, Run, Scenario, Setting};
use super::names::Names;
use super::observation::Observation;
use super::shape::{Checker, Reads, Returns, Shape};
use crate::object::Object;

/// Bytes of one expression.
const MAX_EXPRESSION: usize = 4096;

/// What a scenario says about its end, ready to be judged.
pub struct Judgement {
    names: Names,
    cpus: u32,
    hold: Vec<Expression>,
    always: Vec<Expression>,
    observe: Vec<Observed>,
    /// Which return values nobody sees.
    unseen: Returns,
    environment: Arc<Env>,
}

/// An expression that fits the object.
struct Expression {
    condition: Condition,
    tree: IdedExpr,
    reads: Reads,
    /// Does it ask whether a kptr is null?
    kernel_pointers: bool,
}

/// A part of an outcome.
enum Observed {
    Expression(Expression),
    Returns,
    Last,
    /// A global, as a whole.
    Global(String),
}

/// A condition that does not hold.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Broken {
    /// The condition.
    pub condition: Condition,
    /// Why it could not be evaluated; `None` if it is false.
    pub error: Option<String>,
}

impl Scenario {
    /// Checks a scenario against its object: programs, globals to set, and expressions.
    ///
    /// # Errors
    /// [`ScenarioError`] that names what there is instead.
    pub fn bind(&self, object: &Object) -> Result<Judgement, ScenarioError> {
        let names = Names::of(object);
        self.check_programs(object)?;
        self.check_settings(object, &names)?;
        let among = self.on.iter().flat_map(|task| &task.run);
        let after = self.last.iter().map(|placed| &placed.run);
        let unseen = Returns { among: unseen(object, among), after: unseen(object, after) };
        let end = Some(&unseen);
        let conditions = |list: &[Condition], returns| {
            list.iter().map(|one| compile_condition(&names, self.cpus, returns, one)).collect::<Result<Vec<_>, _>>()
        };
        let hold = conditions(&self.hold, end)?;
        let always = conditions(&self.always, None)?;
        let observe = match &self.observe {
            Some(list) => list
                .iter()
                .map(|one| compile_observed(&names, self.cpus, end, one).map(Observed::Expression))
                .collect::<Result<_, _>>()?,
            None => default_outcome(self, &names),
        };
        Ok(Judgement { names, cpus: self.cpus, hold, always, observe, unseen, environment: Arc::new(Env::stdlib()) })
    }

    fn check_programs(&self, object: &Object) -> Result<(), ScenarioError> {
        for run in self.runs() {
            if !object.programs.iter().any(|program| program.name == run.program) {
                let known: Vec<&str> = object.programs.iter().map(|program| program.name.as_str()).collect();
                let reason = format!("there is no program `{}`; there are {}", run.program, known.join(", "));
                return Err(ScenarioError::at(&run.position, reason));
            }
        }
        Ok(())
    }

    fn check_settings(&self, object: &Object, names: &Names) -> Result<(), ScenarioError> {
        let position = |name: &str| super::Position {
            file: self
                .on
                .first()
                .and_then(|task| task.run.first())
                .map_or_else(String::new, |run| run.position.file.clone()),
            line: None,
            key: format!("globals.{name}"),
        };
        for (name, setting) in &self.globals {
            let section = object.maps.iter().find(|map| map.name == *name).and_then(|map| map.globals.as_ref());
            let size = names.globals.get(name).map(|global| global.size as usize);
            let Some(size) = size.or(section.map(|section| section.bytes.len())) else {
                let known: Vec<&str> = names.globals.keys().map(String::as_str).collect();
                let reason = format!("there is no global `{name}`; there are {}", known.join(", "));
                return Err(ScenarioError::at(&position(name), reason));
            };
            if let Setting::Bytes(bytes) = setting
                && bytes.len() > size
            {
                let reason = format!("{} bytes do not fit into `{name}`, which has {size}", bytes.len());
                return Err(ScenarioError::at(&position(name), reason));
            }
        }
        Ok(())
    }
}

/// For each test run, whether what its program returns is lost: a test run of a tracing program calls functions that the program is attached
/// to, and returns 0 (`bpf_prog_test_run_tracing`, Linux 6.12).
fn unseen<'r>(object: &Object, runs: impl Iterator<Item = &'r Run>) -> Vec<bool> {
    // BPF_PROG_TYPE_TRACING.
    const TRACING: u32 = 26;
    let is_tracing = |run: &Run| {
        let program = object.programs.iter().find(|program| program.name == run.program);
        program.is_some_and(|program| program.section.program_type == TRACING)
    };
    runs.flat_map(|run| std::iter::repeat_n(is_tracing(run), run.repeat as usize)).collect()
}

/// The return values as a kernel's user would see them.
fn seen_returns(list: &[i32], unseen: &[bool]) -> Vec<i32> {
    let unseen = unseen.iter().copied().chain(std::iter::repeat(false));
    list.iter().zip(unseen).map(|(&value, unseen)| if unseen { 0 } else { value }).collect()
}

/// Return values, and every global that programs can write and expressions can see.
fn default_outcome(scenario: &Scenario, names: &Names) -> Vec<Observed> {
    let mut observed = vec![Observed::Returns];
    if !scenario.last.is_empty() {
        observed.push(Observed::Last);
    }
    let seen = names.globals.iter().filter(|(_, global)| !global.read_only && is_seen(&global.layout));
    observed.extend(seen.map(|(name, _)| Observed::Global(name.clone())));
    observed
}

/// Is there anything in it that a system call reads as it is?
fn is_seen(layout: &Layout) -> bool {
    match layout {
        Layout::Hidden | Layout::Pointer { kernel: true } => false,
        Layout::List { element, .. } => is_seen(element),
        Layout::Record(fields) => fields.iter().any(|field| is_seen(&field.layout)),
        _ => true,
    }
}

fn compile_condition(
    names: &Names,
    cpus: u32,
    returns: Option<&Returns>,
    condition: &Condition,
) -> Result<Expression, ScenarioError> {
    let (expression, shape) = compile(names, cpus, returns, condition)?;
    if shape != Shape::Truth {
        let reason = format!("`{}` is {}, which neither holds nor not", condition.text, shape.description());
        return Err(ScenarioError::at(&condition.position, reason));
    }
    Ok(expression)
}

fn compile_observed(
    names: &Names,
    cpus: u32,
    returns: Option<&Returns>,
    condition: &Condition,
) -> Result<Expression, ScenarioError> {
    let (expression, _) = compile(names, cpus, returns, condition)?;
    if expression.kernel_pointers {
        let reason =
            format!("`{}`: a system call does not read a kptr; let a program of `last` look at it", condition.text);
        return Err(ScenarioError::at(&condition.position, reason));
    }
    Ok(expression)
}

fn compile(
    names: &Names,
    cpus: u32,
    returns: Option<&Returns>,
    condition: &Condition,
) -> Result<(Expression, Shape), ScenarioError> {
    let refuse = |reason: String| ScenarioError::at(&condition.position, reason);
    if condition.text.len() > MAX_EXPRESSION {
        return Err(refuse(format!("an expression of more than {MAX_EXPRESSION} bytes")));
    }
    let program = Program::compile(&condition.text).map_err(|errors| {
        let first = errors.errors.first().map_or_else(String::new, |error| error.msg.clone());
        refuse(format!("`{}` is no expression: {first}", condition.text))
    })?;
    let mut checker = Checker::new(names, returns, cpus);
    let shape =
        checker.shape(program.expression()).map_err(|reason| refuse(format!("`{}`: {reason}", condition.text)))?;
    if matches!(shape, Shape::Globals | Shape::Maps) {
        return Err(refuse(format!("`{}`: which one?", condition.text)));
    }
    let expression = Expression {
        condition: condition.clone(),
        tree: program.expression().clone(),
        kernel_pointers: checker.kernel_pointers,
        reads: checker.reads,
    };
    Ok((expression, shape))
}

impl Expression {
    fn evaluate(&self, judgement: &Judgement, seen: &Observation, kernel_pointers: bool) -> Result<Value, String> {
        let mut context = Context::with_env(Arc::clone(&judgement.environment));
        let contents =
            |map: usize| seen.maps.iter().find(|one| one.map == map).ok_or_else(|| format!("map {map} was not read"));
        let mut globals = HashMap::new();
        for name in &self.reads.globals {
            let Some(global) = judgement.names.globals.get(name) else { continue };
            let value = global.value(contents(global.map)?, kernel_pointers);
            let value = value.ok_or_else(|| format!("`globals.{name}` was not read"))?;
            globals.insert(Key::String(Arc::new(name.clone())), value);
        }
        let mut maps = HashMap::new();
        for name in &self.reads.maps {
            let Some(map) = judgement.names.maps.get(name) else { continue };
            let value = map.value(contents(map.map)?, kernel_pointers);
            maps.insert(Key::String(Arc::new(name.clone())), value);
        }
        let numbers = |list: &[i32], unseen: &[bool]| {
            let list = seen_returns(list, unseen).into_iter().map(|one| Value::Int(one.into()));
            Value::List(Arc::new(list.collect()))
        };
        context.add_variable_from_value("globals", Value::Map(CelMap { map: Arc::new(globals) }));
        context.add_variable_from_value("maps", Value::Map(CelMap { map: Arc::new(maps) }));
        context.add_variable_from_value("returns", numbers(&seen.returns, &judgement.unseen.among));
        context.add_variable_from_value("last", numbers(&seen.last, &judgement.unseen.after));
        context.add_variable_from_value("cpus", Value::Int(judgement.cpus.into()));
        Value::resolve(&self.tree, &context).map_err(|error| error.to_string())
    }

    /// The condition, if it does not hold.
    fn broken(&self, judgement: &Judgement, seen: &Observation) -> Option<Broken> {
        let error = match self.evaluate(judgement, seen, seen.kernel_pointers) {
            Ok(Value::Bool(true)) => return None,
            Ok(Value::Bool(false)) => None,
            Ok(other) => Some(format!("it is {}", render(&other))),
            Err(error) => Some(error),
        };
        Some(Broken { condition: self.condition.clone(), error })
    }
}

impl Judgement {
    /// Indices of the maps (globals' sections among them) that have to be read to judge the end and to tell the outcome.
    #[must_use]
    pub fn end_maps(&self) -> BTreeSet<usize> {
        let observed = self.observe.iter().flat_map(|part| match part {
            Observed::Expression(expression) => self.maps_of(&expression.reads),
            Observed::Global(name) => self.names.map_of_global(name).into_iter().collect(),
            Observed::Returns | Observed::Last => Vec::new(),
        });
        self.hold.iter().flat_map(|one| self.maps_of(&one.reads)).chain(observed).collect()
    }

    /// Indices of the maps that have to be read to judge what must always hold.
    #[must_use]
    pub fn always_maps(&self) -> BTreeSet<usize> {
        self.always.iter().flat_map(|one| self.maps_of(&one.reads)).collect()
    }

    fn maps_of(&self, reads: &Reads) -> Vec<usize> {
        let globals = reads.globals.iter().filter_map(|name| self.names.map_of_global(name));
        globals.chain(reads.maps.iter().filter_map(|name| self.names.maps.get(name).map(|map| map.map))).collect()
    }

    /// Does anything have to hold at each step?
    #[must_use]
    pub fn has_always(&self) -> bool {
        !self.always.is_empty()
    }

    /// What does not hold at the end. A condition about kptrs is left out where they cannot be seen.
    #[must_use]
    pub fn broken(&self, seen: &Observation) -> Vec<Broken> {
        let judged = self.hold.iter().filter(|one| seen.kernel_pointers || !one.kernel_pointers);
        judged.filter_map(|one| one.broken(self, seen)).collect()
    }

    /// What does not hold now, of what must always hold.
    #[must_use]
    pub fn broken_now(&self, seen: &Observation) -> Vec<Broken> {
        let judged = self.always.iter().filter(|one| seen.kernel_pointers || !one.kernel_pointers);
        judged.filter_map(|one| one.broken(self, seen)).collect()
    }

    /// The outcome in one line: the same text for the same observation, whoever made it.
    #[must_use]
    pub fn outcome(&self, seen: &Observation) -> String {
        let parts = self.observe.iter().map(|part| match part {
            Observed::Returns => format!("returns={}", numbers(&seen.returns, &self.unseen.among)),
            Observed::Last => format!("last={}", numbers(&seen.last, &self.unseen.after)),
            Observed::Global(name) => {
                let global = self.names.globals.get(name);
                let contents = |map: usize| seen.maps.iter().find(|one| one.map == map);
                // Kptrs inside are left out, as a system call would not see them.
                let value = global.and_then(|global| global.value(contents(global.map)?, false));
                format!("globals.{name}={}", value.as_ref().map_or_else(|| "?".into(), render))
            }
            Observed::Expression(expression) => {
                let unseen = |error: String| format!("({error})");
                let value = expression.evaluate(self, seen, false).map_or_else(unseen, |value| render(&value));
                format!("{}={value}", expression.condition.text)
            }
        });
        parts.collect::<Vec<_>>().join(" ")
    }
}

fn numbers(list: &[i32], unseen: &[bool]) -> String {
    format!("[{}]", seen_returns(list, unseen).iter().map(i32::to_string).collect::<Vec<_>>().join(", "))
}

#[cfg(test)]
mod tests {
    use super::super::words::{Builder, PlacedWord, SetWord};
    use super::super::{MapContents, MapEntry};
    use super::*;
    use crate::object::{LoadOptions, Section};

    const OBJECT: &[u8] = include_bytes!(concat!(env!("CARGO_MANIFEST_DIR"), "/tests/objects/percpu_slot.bpf.o"));

    /// The object, with its programs as `syscall` programs, so that what they return is told.
    fn object() -> Object {
        let mut object = Object::parse("percpu_slot", OBJECT, &LoadOptions::default()).expect("it loads");
        for program in &mut object.programs {
            program.section = Section::parse("syscall");
        }
        object
    }

    fn builder() -> Builder {
        let last: PlacedWord = "sum".parse().expect("a word");
        Builder::about("a.o")
            .on("0:make,take_down".parse().expect("a word"))
            .on("1:make".parse().expect("a word"))
            .last(last)
    }

    fn index(object: &Object, name: &str) -> usize {
        object.maps.iter().position(|map| map.name == name).expect("the map is there")
    }

    /// `total` is `total`; slot 0 has generation 7 and an object; slot 1 is empty.
    fn observation(object: &Object, total: i64) -> Observation {
        let entry = |key: u32, value: Vec<u8>| MapEntry { key: key.to_le_bytes().to_vec(), values: vec![value] };
        let slot = |generation: i64, pointer: u64| [generation.to_le_bytes(), pointer.to_le_bytes()].concat();
        let slots = vec![entry(0, slot(7, 0xffff_8000_0000_1000)), entry(1, slot(0, 0))];
        let globals = vec![entry(0, total.to_le_bytes().to_vec())];
        let maps = vec![
            MapContents { map: index(object, "slots"), entries: slots },
            MapContents { map: index(object, ".bss"), entries: globals },
        ];
        Observation { returns: vec![0, 0, -2], last: vec![0], maps, kernel_pointers: true }
    }

    fn refused(builder: Builder) -> String {
        let scenario = builder.build().expect("it makes sense by itself");
        scenario.bind(&object()).err().expect("it does not fit the object").to_string()
    }

    /// Whether an expression holds of the observation with that total.
    fn holds(expression: &str, total: i64) -> bool {
        let object = object();
        let scenario = builder().hold(expression).build().expect("it makes sense");
        let judgement = scenario.bind(&object).expect(expression);
        let broken = judgement.broken(&observation(&object, total));
        assert!(broken.iter().all(|one| one.error.is_none()), "{broken:?}");
        broken.is_empty()
    }

    #[test]
    fn expressions_read_globals_maps_and_return_values() {
        assert!(holds("globals.total == 5", 5));
        assert!(!holds("globals.total == 5", 6));
        assert!(holds("globals.total < 0 && globals.total == -9223372036854775807 - 1", i64::MIN));
        assert!(holds("maps.slots[0].generation == 7 && maps.slots[1].generation == 0", 0));
        assert!(holds("maps.slots[0].counter != null && maps.slots[1].counter == null", 0));
        assert!(holds("maps.slots.all(slot, slot.generation >= 0) && size(maps.slots) == 2", 0));
        assert!(holds("maps.slots.exists(slot, slot.generation == 7 && slot.counter != null)", 0));
        assert!(holds("maps.slots.map(slot, slot.generation) == [7, 0]", 0));
        assert!(holds("returns == [0, 0, -2] && returns[2] in [-2, -3] && last[0] == 0 && cpus == 2", 0));
        assert!(holds("(globals.total == 1 ? 10 : 20) == 20 && !(globals.total > 4u)", 4));
    }

    #[test]
    fn large_unsigned_numbers_compare_with_small_ones() {
        let large = Value::UInt(u64::MAX);
        let mut context = Context::default();
        context.add_variable_from_value("large", large);
        for text in ["large > 1", "large != -1", "large == 18446744073709551615u", "1 < large", "-1 < large"] {
            let program = Program::compile(text).expect("it is CEL");
            assert_eq!(program.execute(&context), Ok(Value::Bool(true)), "{text}");
        }
    }

    #[test]
    fn what_does_not_fit_the_object_is_refused_with_what_there_is() {
        let hold = |text: &str| refused(builder().hold(text));
        assert_eq!(
            hold("globals.totals == 1"),
            "command line: --hold: `globals.totals == 1`: there is no global `totals`; there are cpus, total"
        );
        assert!(
            hold("maps.slot[0].generation == 1").ends_with("there is no map that can be read `slot`; there are slots")
        );
        assert!(hold("maps.slots[0].count == 1").ends_with("there is no field `count`; there are generation, counter"));
        assert!(hold("global.total == 1").contains("there is no `global`; there are `globals`, `maps`, `cpus`"));
        assert!(hold("globals.total").ends_with("`globals.total` is a number, which neither holds nor not"));
        assert!(hold("globals.total == true").ends_with("a number is compared with a truth value"));
        assert!(hold("globals.total == null").ends_with("a number is compared with `null`"));
        assert!(hold("globals.total.x == 1").ends_with("a number has no field `x`"));
        assert!(hold("returns[3] == 0").ends_with("there is no element 3: there are 3, numbered from 0"));
        assert!(hold("maps.slots[0].counter == maps.slots[1].counter").contains("only whether one is null is seen"));
        assert!(hold("globals.total ==").contains("is no expression"));
        assert!(hold("matches(globals.total)").contains("there is no function `matches`"));
        let always = refused(builder().always("returns[0] == 0"));
        assert!(always.contains("`returns` is known only at the end"), "{always}");
        let observed = refused(builder().observe("maps.slots[0].counter == null"));
        assert!(observed.contains("a system call does not read a kptr"), "{observed}");
        let program = refused(builder().on("1:absent".parse().expect("a word")));
        assert!(program.contains("there is no program `absent`; there are make, count"), "{program}");
        let global = refused(builder().set("absent=1".parse::<SetWord>().expect("a word")));
        assert!(global.contains("there is no global `absent`"), "{global}");
        let long = refused(builder().set("cpus=hex:0000000000".parse::<SetWord>().expect("a word")));
        assert!(long.ends_with("5 bytes do not fit into `cpus`, which has 4"), "{long}");
    }

    #[test]
    fn the_default_outcome_is_what_programs_returned_and_wrote() {
        let object = object();
        let judgement = builder().build().expect("it makes sense").bind(&object).expect("it fits");
        let mut seen = observation(&object, 5);
        let outcome = "returns=[0, 0, -2] last=[0] globals.total=5";
        assert_eq!(judgement.outcome(&seen), outcome);
        seen.kernel_pointers = false;
        assert_eq!(judgement.outcome(&seen), outcome);
        assert_eq!(judgement.end_maps().into_iter().collect::<Vec<_>>(), [index(&object, ".bss")]);
        assert!(judgement.always_maps().is_empty());
    }

    #[test]
    fn outcomes_hold_what_is_observed_and_never_a_kptr() {
        let object = object();
        let scenario = builder().observe("maps.slots[0]").observe("globals.total + 1").build().expect("it makes sense");
        let judgement = scenario.bind(&object).expect("it fits");
        let seen = observation(&object, 5);
        assert_eq!(judgement.outcome(&seen), "maps.slots[0]={generation: 7} globals.total + 1=6");
        assert_eq!(judgement.end_maps().len(), 2);
    }

    #[test]
    fn conditions_about_kptrs_are_judged_only_where_they_are_seen() {
        let object = object();
        let scenario = builder().hold("maps.slots[0].counter == null").build().expect("it makes sense");
        let judgement = scenario.bind(&object).expect("it fits");
        let mut seen = observation(&object, 0);
        assert_eq!(judgement.broken(&seen).len(), 1);
        seen.kernel_pointers = false;
        assert!(judgement.broken(&seen).is_empty());
    }

    #[test]
    fn what_cannot_be_evaluated_does_not_hold() {
        let object = object();
        let scenario = builder().hold("maps.slots[2].generation == 0").always("1 / globals.total == 1").build();
        let judgement = scenario.expect("it makes sense").bind(&object).expect("it fits");
        let seen = observation(&object, 0);
        for broken in [judgement.broken(&seen), judgement.broken_now(&seen)] {
            assert!(matches!(&broken[..], [Broken { error: Some(_), .. }]), "{broken:?}");
        }
        let unread = Observation { maps: Vec::new(), ..seen };
        assert!(judgement.broken(&unread)[0].error.is_some());
    }

    #[test]
    fn what_tracing_programs_return_is_not_told() {
        let mut object = object();
        for program in object.programs.iter_mut().filter(|program| program.name == "take_down") {
            program.section = Section::parse("fentry/bpf_fentry_test1");
        }
        let seen = Observation { returns: vec![3, 4, 5], ..observation(&object, 1) };
        let judgement = builder().observe("returns").build().expect("it makes sense").bind(&object).expect("it fits");
        assert_eq!(judgement.outcome(&seen), "returns=[3, 0, 5]");
        let bind = |text: &str| builder().hold(text).build().expect("it makes sense").bind(&object);
        assert!(bind("returns[0] == 3").is_ok());
        let error = bind("returns[1] == 4").err().expect("nobody sees it").to_string();
        assert!(error.contains("a tracing program does not tell"), "{error}");
    }

    #[test]
    fn judgements_are_shared_among_threads() {
        fn shared<T: Send + Sync>(_: &T) {}
        let object = object();
        shared(&builder().build().expect("it makes sense").bind(&object).expect("it fits"));
    }
}
