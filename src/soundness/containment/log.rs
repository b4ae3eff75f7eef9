//! Reading a verifier's log of level 2 into a [`Trace`].
//!
//! What is read is what `do_check` and `print_verifier_state` print (Linux 6.12); lines that tell nothing of states or paths (source,
//! `mark_precise`, statistics) are passed over, but a state that cannot be read is an error: a check must not pass for want of reading.

use std::collections::BTreeMap;
use std::sync::Arc;

use rustc_hash::FxHashMap;

use super::trace::{Entered, Frame, Item, State, Trace, TraceError};
use super::value::{Abstract, Slot, Target, Value};

/// What a line belongs to that stands alone under a heading.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Heading {
    /// `caller:` of a call.
    Caller,
    /// `callee:` of a call.
    Callee,
    /// `returning from callee:`
    Returning,
    /// `to caller at N:`
    Returned,
}

#[derive(Default)]
struct Reader {
    frames: BTreeMap<u32, Arc<Frame>>,
    depth: u32,
    references: Arc<[u32]>,
    whole: bool,
    asynchronous: bool,
    /// The state, unless something changed since it was made.
    state: Option<Arc<State>>,
    entered: Option<Entered>,
    heading: Option<Heading>,
    /// The path goes on after a return; what comes is no branch.
    returned: bool,
    /// The path is one that the processor may try ahead of time and no program takes: it is passed over.
    speculative: bool,
    items: Vec<Item>,
    values: FxHashMap<String, Arc<Value>>,
    slots: FxHashMap<String, Arc<Slot>>,
    line: u32,
}

impl Trace {
    /// Reads a log.
    ///
    /// # Errors
    /// [`TraceError`] if a state in it cannot be read.
    pub fn parse(log: &str) -> Result<Trace, TraceError> {
        let mut reader = Reader { entered: Some(Entered::Start), ..Reader::default() };
        for (number, line) in log.lines().enumerate() {
            reader.line = number as u32 + 1;
            reader.read(line.trim_end())?;
        }
        Ok(Trace::new(reader.items))
    }
}

/// `12: rest`, and the rest.
fn numbered(line: &str) -> Option<(u32, &str)> {
    let (number, rest) = line.split_once(':')?;
    Some((number.parse().ok()?, rest))
}

/// Is it ` (85) call …`, an instruction?
fn opcode(rest: &str) -> Option<u8> {
    let digits = rest.strip_prefix(" (")?.get(..2)?;
    rest.get(4..6).filter(|&end| end == ") ")?;
    u8::from_str_radix(digits, 16).ok()
}

const CALL: u8 = 0x85;

impl Reader {
    fn error(&self, what: impl Into<String>) -> TraceError {
        TraceError { line: self.line, what: what.into() }
    }

    fn read(&mut self, line: &str) -> Result<(), TraceError> {
        if let Some(heading) = self.heading.take() {
            return self.under_heading(heading, line);
        }
        if let Some(rest) = line.strip_prefix("from ") {
            return self.from(rest);
        }
        if let Some((insn, rest)) = numbered(line) {
            if rest == " safe" {
                self.ends(insn);
                return Ok(());
            }
            if let Some(opcode) = opcode(rest) {
                return self.instruction(insn, opcode, rest);
            }
            return self.change(rest);
        }
        self.heading = match line {
            "caller:" => Some(Heading::Caller),
            "callee:" => Some(Heading::Callee),
            "returning from callee:" => Some(Heading::Returning),
            _ if line.starts_with("to caller at ") => Some(Heading::Returned),
            _ => None,
        };
        if line.starts_with("Validating ") && line.contains("func#") {
            self.begin(Entered::Start);
        }
        Ok(())
    }

    /// A path begins of which nothing is known yet.
    fn begin(&mut self, entered: Entered) {
        self.entered = Some(entered);
        self.frames.clear();
        self.depth = 0;
        self.references = Arc::default();
        self.whole = false;
        self.state = None;
        self.returned = false;
        self.speculative = false;
    }

    fn under_heading(&mut self, heading: Heading, line: &str) -> Result<(), TraceError> {
        match heading {
            Heading::Caller | Heading::Callee => self.whole_frame(line),
            // The caller's state comes next.
            Heading::Returning => Ok(()),
            Heading::Returned => {
                self.returned = true;
                self.whole_frame(line)
            }
        }
    }

    /// `A to B: state`, `A to B (speculative execution): state` or `A to B: safe`.
    fn from(&mut self, rest: &str) -> Result<(), TraceError> {
        let Some((from, (to, state))) = rest
            .split_once(" to ")
            .and_then(|(from, rest)| Some((from.parse::<i64>().ok()?, rest.split_once(':')?)))
            .filter(|(_, (to, _))| to.starts_with(|first: char| first.is_ascii_digit()))
        else {
            return Ok(());
        };
        let speculative = to.contains("speculative");
        let to = to.split(' ').next().unwrap_or(to).parse().map_err(|_| self.error("no instruction"))?;
        let goes_on = std::mem::take(&mut self.returned);
        if !goes_on {
            self.begin(u32::try_from(from).map_or(Entered::Start, Entered::Branch));
            self.speculative = speculative;
        }
        if state == " safe" {
            self.ends(to);
            return Ok(());
        }
        self.whole_frame(state)
    }

    fn ends(&mut self, insn: u32) {
        let entered = self.entered.take().unwrap_or(Entered::Onwards);
        self.push(Item { insn, entered, state: None, line: self.line });
        self.returned = false;
    }

    fn instruction(&mut self, insn: u32, opcode: u8, rest: &str) -> Result<(), TraceError> {
        let entered = self.entered.take().unwrap_or(Entered::Onwards);
        self.returned = false;
        let state = self.state();
        self.push(Item { insn, entered, state: Some(state), line: self.line });
        if opcode == CALL {
            self.call();
        }
        match rest.split_once(';') {
            Some((_, state)) => self.change(state),
            None => Ok(()),
        }
    }

    fn push(&mut self, item: Item) {
        if !self.speculative {
            self.items.push(item);
        }
    }

    fn state(&mut self) -> Arc<State> {
        let known = self.state.take().unwrap_or_else(|| {
            Arc::new(State {
                frames: self.frames.clone(),
                references: self.references.clone(),
                whole: self.whole,
                asynchronous: self.asynchronous,
            })
        });
        self.state = Some(Arc::clone(&known));
        known
    }

    /// What a call takes away is not printed: its arguments, and pointers that its end may invalidate.
    fn call(&mut self) {
        self.state = None;
        let depth = self.depth;
        let Some(frame) = self.frames.get_mut(&depth) else { return };
        let frame = Arc::make_mut(frame);
        frame.registers[..6].fill(None);
        if frame.forget(is_volatile) {
            self.whole = false;
        }
    }

    /// A change of the innermost frame, or a whole state that names all frames.
    fn change(&mut self, text: &str) -> Result<(), TraceError> {
        if text.trim().is_empty() {
            // References may all be gone: then none are printed.
            self.references = Arc::default();
            self.state = None;
            self.drop_references();
            return Ok(());
        }
        if text.starts_with(" frame0:") {
            self.frames.clear();
            self.whole = true;
            self.asynchronous = false;
            return self.apply(text);
        }
        self.references = Arc::default();
        // The first state of a function that is verified on its own is a whole one.
        self.whole |= self.frames.is_empty();
        self.apply(text)?;
        self.drop_references();
        Ok(())
    }

    /// Forgets what carries a reference that is no more.
    fn drop_references(&mut self) {
        let depth = self.depth;
        let references = Arc::clone(&self.references);
        if let Some(frame) = self.frames.get_mut(&depth)
            && frame.values().any(|value| carries_none_of(value, &references))
        {
            Arc::make_mut(frame).forget(|value| carries_none_of(value, &references));
            self.state = None;
        }
    }

    /// A state that tells all of its frame.
    fn whole_frame(&mut self, text: &str) -> Result<(), TraceError> {
        let depth = text.strip_prefix(" frame").and_then(|rest| rest.split_once(':')?.0.parse().ok()).unwrap_or(0);
        // What a callee does to the frames of its callers is not printed.
        self.frames.clear();
        self.frames.insert(depth, Arc::default());
        self.whole = true;
        self.asynchronous = false;
        self.references = Arc::default();
        self.apply(text)
    }

    fn apply(&mut self, text: &str) -> Result<(), TraceError> {
        self.state = None;
        self.depth = 0;
        let mut frame = self.frames.remove(&0).unwrap_or_default();
        for token in tokens(text) {
            if let Some(number) = token.strip_prefix("frame").and_then(|rest| rest.strip_suffix(':')) {
                let number = number.parse().map_err(|_| self.error(format!("no frame: {token}")))?;
                let other = self.frames.remove(&number).unwrap_or_default();
                let before = std::mem::replace(&mut frame, other);
                if self.depth != number && (!before.registers.iter().all(Option::is_none) || !before.stack.is_empty()) {
                    self.frames.insert(self.depth, before);
                }
                self.depth = number;
                self.references = Arc::default();
                continue;
            }
            let frame = Arc::make_mut(&mut frame);
            self.token(token, frame)?;
        }
        self.frames.insert(self.depth, frame);
        Ok(())
    }

    fn token(&mut self, token: &str, frame: &mut Frame) -> Result<(), TraceError> {
        match token {
            "cb" => return Ok(()),
            "async_cb" => {
                self.asynchronous = true;
                return Ok(());
            }
            _ => {}
        }
        let unread = || TraceError { line: self.line, what: format!("cannot read `{token}`") };
        let (name, text) = token.split_once('=').ok_or_else(unread)?;
        if name == "refs" {
            self.references = text.split(',').map(str::parse).collect::<Result<_, _>>().map_err(|_| unread())?;
            return Ok(());
        }
        let name = name.split('_').next().unwrap_or(name);
        if let Some(number) = name.strip_prefix('R') {
            let number: usize = number.parse().map_err(|_| unread())?;
            let value = known(&mut self.values, text, Value::parse).ok_or_else(unread)?;
            *frame.registers.get_mut(number).ok_or_else(unread)? = Some(value);
        } else {
            let distance = name.strip_prefix("fp-").and_then(|distance| distance.parse().ok()).ok_or_else(unread)?;
            let slot = known(&mut self.slots, text, Slot::parse).ok_or_else(unread)?;
            frame.stack.insert(distance, slot);
        }
        Ok(())
    }
}

/// Reads a text, once for all times that it comes.
fn known<T>(all: &mut FxHashMap<String, Arc<T>>, text: &str, read: fn(&str) -> Option<T>) -> Option<Arc<T>> {
    if let Some(known) = all.get(text) {
        return Some(Arc::clone(known));
    }
    let value = Arc::new(read(text)?);
    all.insert(text.to_owned(), Arc::clone(&value));
    Some(value)
}

/// Words of a state, which are one where there are brackets.
fn tokens(text: &str) -> impl Iterator<Item = &str> {
    let mut open = 0u32;
    let split = text.split(move |character: char| {
        match character {
            '(' => open += 1,
            ')' => open = open.saturating_sub(1),
            _ => {}
        }
        character == ' ' && open == 0
    });
    split.filter(|token| !token.is_empty())
}

/// May a call make this invalid without a word in the log?
fn is_volatile(value: &Value) -> bool {
    match &value.kind {
        Abstract::Number { .. } => false,
        Abstract::Handle(_) => true,
        Abstract::Pointer(pointer) => {
            let kept = matches!(
                pointer.target,
                Target::Context | Target::Map | Target::MapValue | Target::Stack | Target::Function | Target::Arena
            );
            !kept || pointer.marks.rcu
        }
    }
}

fn carries_none_of(value: &Value, references: &[u32]) -> bool {
    let reference = match &value.kind {
        Abstract::Pointer(pointer) => pointer.reference,
        Abstract::Handle(reference) => *reference,
        Abstract::Number { .. } => 0,
    };
    reference != 0 && !references.contains(&reference)
}
