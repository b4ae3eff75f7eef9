//! The way in: one object, its programs, a verdict for each.

use std::sync::Arc;

use super::env::{Check, InsnFacts, Stop, Subprogram, Verifier, unsupported};
use super::explored::Explored;
use super::log::Log;
use super::map_fields::KernelSide;
use super::maps::{MapInfo, maps_of};
use super::options::Options;
use super::path::{Record, Recorded};
use super::precision::Backtrack;
use super::recorder::Recorder;
use super::rule::Rule;
use super::state::{Frame, State};
use super::statistics::Statistics;
use super::story::{self, Story};
use super::symbol_address::{self, Assumption};
use super::value::{Pointer, Target, Value};
use crate::btf::{Linkage, Type, TypeId};
use crate::isa::{Register, decode};
use crate::kernel::{MapType, Permission, Profile};
use crate::object::{LineInfo, Object, Program};

/// A place in a program.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Place {
    /// The slot.
    pub insn: usize,
    /// Its source line, if known.
    pub source: Option<LineInfo>,
}

/// Why a program is refused.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Rejection {
    /// The broken rule.
    pub rule: Rule,
    /// Lines that the kernel prints right before the last one.
    pub notes: Vec<String>,
}

/// What the verifier decides.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Verdict {
    /// The kernel would load it.
    Accept,
    /// The kernel would refuse it.
    Reject(Box<Rejection>),
    /// It needs something that is not modelled; says what.
    Unsupported(String),
}

/// The outcome for one program.
#[derive(Clone, Debug)]
pub struct Verification {
    /// The program's name.
    pub program: String,
    /// Its section.
    pub section: String,
    /// The verdict.
    pub verdict: Verdict,
    /// Where it was decided; `None` if the program was accepted.
    pub place: Option<Place>,
    /// Counts.
    pub statistics: Statistics,
    /// The kernel's log, if asked for.
    pub log: String,
    /// What was recorded, if asked for; `None` too where no path led to the verdict.
    pub path: Option<Recorded>,
    /// How it came to the verdict, if the program was not accepted and its path was recorded.
    pub story: Option<Story>,
}

/// What all programs of an object share.
#[derive(Debug)]
pub struct ObjectVerifier<'a> {
    object: &'a Object,
    profile: &'a Profile,
    options: Options,
    maps: Vec<MapInfo>,
    kernel_side: KernelSide,
}

impl<'a> ObjectVerifier<'a> {
    /// Prepares an object for a kernel.
    #[must_use]
    pub fn new(object: &'a Object, profile: &'a Profile, options: Options) -> ObjectVerifier<'a> {
        let types = object.btf.as_ref().filter(|_| options.capabilities.allow(Permission::LoadTypes));
        let kernel_side = KernelSide::of(types, profile);
        let maps = maps_of(object, kernel_side.btf.as_ref(), profile);
        ObjectVerifier { object, profile, options, maps, kernel_side }
    }

    /// Verifies one program, alone, as if it were the only one to be loaded.
    #[must_use]
    pub fn verify(&self, program: &Program) -> Verification {
        // A path that is asked for only where the verdict falls costs accepted programs nothing so.
        let record = if self.options.record == Record::Verdict { Record::No } else { self.options.record };
        let mut first = self.verify_once(program, Assumption::Image, record);
        if record != self.options.record && first.verdict != Verdict::Accept {
            first.path = self.verify_once(program, Assumption::Image, self.options.record).path;
        }
        // What was found before any path was followed has a story of one place, and help.
        let is_whole = first.path.as_ref().is_none_or(|path| record == Record::No || !path.cut);
        if is_whole && self.options.record != Record::No && first.verdict != Verdict::Accept {
            first.story = Some(story::tell(program, &first));
        }
        let Some(symbol) = self.verifier(program, Assumption::Image).addressed_symbol().map(str::to_owned) else {
            return first;
        };
        let others = Assumption::OTHERS.map(|other| self.verify_once(program, other, Record::No));
        symbol_address::agreed(&symbol, first, &others)
    }

    fn verify_once(&self, program: &Program, symbols: Assumption, record: Record) -> Verification {
        let mut verifier = self.verifier(program, symbols);
        verifier.recorder = Recorder::new(record);
        let result = verifier.run();
        verifier.finish_statistics();
        let place = || {
            let insn = verifier.insn.min(verifier.insns.len().saturating_sub(1));
            Some(Place { insn, source: program.line_at(insn).cloned() })
        };
        let (verdict, place) = match result {
            Ok(()) => (Verdict::Accept, None),
            Err(Stop::Unsupported(what)) => (Verdict::Unsupported(what), place()),
            Err(Stop::Reject(rule)) => {
                let place = place();
                verifier.log_rejection(&rule);
                let rejection = Rejection { rule: *rule, notes: std::mem::take(&mut verifier.notes) };
                (Verdict::Reject(Box::new(rejection)), place)
            }
        };
        verifier.log_statistics();
        Verification {
            program: program.name.clone(),
            section: program.section.name.clone(),
            verdict,
            place,
            statistics: verifier.statistics,
            log: verifier.log.into_text(),
            story: None,
            path: verifier.recorder.map(|recorder| recorder.finish()).filter(|path| !path.steps.is_empty()),
        }
    }

    fn verifier<'b>(&'b self, program: &'b Program, symbols: Assumption) -> Verifier<'b> {
        let insns: Vec<_> = (0..program.insns.len())
            .map(|insn| decode(program.insns[insn], program.insns.get(insn + 1).copied()))
            .collect();
        let slots = insns.len();
        Verifier {
            object: self.object,
            program,
            profile: self.profile,
            options: &self.options,
            maps: &self.maps,
            local_fields: &self.kernel_side.structs,
            btf: self.kernel_side.btf.clone(),
            facts: vec![InsnFacts::default(); slots],
            concerned: super::precision::concerned(&insns),
            insns,
            subprograms: Vec::new(),
            state: State::new(Frame::new(0, 0, None), 0),
            insn: 0,
            previous: None,
            pending: Vec::new(),
            explored: Explored::new(slots),
            history: Vec::new(),
            history_entry: None,
            backtrack: Backtrack::default(),
            last_id: 0,
            statistics: Statistics::default(),
            log: Log::new(self.options.log_level),
            notes: Vec::new(),
            max_context_offset: 0,
            exception_callback: None,
            exact_numbers: false,
            symbols,
            recorder: None,
        }
    }
}

impl Verifier<'_> {
    /// All of a program's verification (`bpf_check`).
    fn run(&mut self) -> Check {
        self.check_loadable()?;
        self.check_function_records()?;
        self.check_device_kfuncs()?;
        self.set_up_subprograms()?;
        self.check_jumps_stay_inside()?;
        self.check_functions_have_records()?;
        self.check_abnormal_returns()?;
        self.check_lines()?;
        self.check_references()?;
        self.check_control_flow()?;
        self.check_attach_target()?;
        self.mark_fastcall_patterns();
        self.explore_function(0)?;
        self.explore_global_functions()?;
        self.remove_fastcall_spills();
        self.check_stack_depth()?;
        self.check_tail_calls_are_guarded()?;
        self.check_arena_loads()
    }

    /// What the loader could not do, and what the decoder refuses before any path is explored.
    fn check_loadable(&mut self) -> Check {
        if self.insns.is_empty() {
            return unsupported("a program without instructions");
        }
        if self.btf.is_none() && self.object.btf.is_some() && self.has_struct_ops() {
            return unsupported("the loader refuses the object: struct_ops need its BTF, which the kernel refuses");
        }
        if let Some(refused) = &self.program.refused {
            return unsupported(format!("the loader refuses the program: {refused}"));
        }
        if let Some(unresolved) = self.program.unresolved.first() {
            self.insn = unresolved.insn;
            return unsupported(format!("a relocation that needs {}", unresolved.what));
        }
        self.check_may_load()
    }

    /// Does the object implement kernel structures? Without types libbpf loads nothing of it (`kernel_needs_btf`).
    fn has_struct_ops(&self) -> bool {
        self.maps.iter().any(|map| map.map_type == MapType::StructOps)
    }

    fn set_up_subprograms(&mut self) -> Check {
        let mut starts = self.find_subprograms()?;
        self.find_exception_callback(&mut starts)?;
        let ends = starts.iter().skip(1).copied().chain([self.insns.len()]);
        let btf = self.btf.clone();
        self.subprograms = starts
            .iter()
            .zip(ends)
            .map(|(&start, end)| {
                // Without types nothing is known of functions but where they start.
                let known = btf.is_some();
                let function = self.program.functions.iter().find(|function| known && function.start == start);
                let type_id = function.map(|function| function.type_id).filter(|&id| id != TypeId::VOID);
                let linkage = type_id.and_then(|id| match btf.as_ref()?.ty(id) {
                    Type::Function { linkage, .. } => Some(*linkage),
                    _ => None,
                });
                Subprogram {
                    start,
                    end,
                    // The kernel knows the name in BTF, which a compiler's clone of a function shares with the original.
                    name: match (&btf, type_id) {
                        (Some(btf), Some(id)) => btf.ty(id).name().to_owned(),
                        _ => function.map(|function| function.name.clone()).unwrap_or_default(),
                    },
                    type_id,
                    global: function.is_some_and(|function| function.global) && linkage != Some(Linkage::Static),
                    called: false,
                    verified: false,
                    stack_depth: 0,
                    has_tail_call: false,
                    has_load_packet: false,
                    changes_packet: false,
                    is_callback: false,
                    is_async_callback: false,
                    fastcall_stack_offset: 0,
                    keep_fastcall_stack: false,
                    arguments: None,
                    unreliable: false,
                }
            })
            .collect();
        self.note_exception_callback();
        self.log_subprograms();
        Ok(())
    }

    fn explore_function(&mut self, index: usize) -> Check {
        let start = self.subprograms[index].start;
        self.log.last_line = None;
        let frame = if index == 0 {
            self.read_entry_prototype();
            let mut frame = Frame::new(0, 0, None);
            frame.registers[Register::R1.index()].value = Value::Pointer(Pointer::to(Target::Context));
            frame
        } else {
            if self.log.enabled() {
                let name = &self.subprograms[index].name;
                let line = format!("Validating {name}() func#{index}...");
                self.log.line(&line);
            }
            self.global_entry(index)?
        };
        self.state = State::new(frame, start);
        self.insn = start;
        self.previous = None;
        self.pending.clear();
        self.history.clear();
        self.forget_path();
        let longest_mark_read = self.explored.longest_mark_read;
        self.explored = Explored::new(self.insns.len());
        self.explored.longest_mark_read = longest_mark_read;
        self.log.touch_all();
        self.explore()?;
        self.forget_path();
        self.log.reset_to(0);
        Ok(())
    }

    fn forget_path(&mut self) {
        if let Some(recorder) = &mut self.recorder {
            recorder.start_over();
        }
    }

    /// Global functions that a verified path has called are verified on their own (`do_check_subprogs`).
    fn explore_global_functions(&mut self) -> Check {
        while let Some(index) = (1..self.subprograms.len()).find(|&index| {
            let subprogram = &self.subprograms[index];
            subprogram.global && subprogram.called && !subprogram.verified
        }) {
            self.explore_function(index)?;
            if self.log.enabled() {
                let name = &self.subprograms[index].name;
                let line = format!("Func#{index} ('{name}') is safe for any args that match its prototype");
                self.log.line(&line);
            }
            self.subprograms[index].verified = true;
        }
        Ok(())
    }

    fn finish_statistics(&mut self) {
        self.statistics.longest_mark_read = self.explored.longest_mark_read;
        self.statistics.stack_depths = self.subprograms.iter().map(|subprogram| subprogram.stack_depth).collect();
    }

    fn log_statistics(&mut self) {
        if !self.log.enabled() {
            return;
        }
        let statistics = &self.statistics;
        let line = format!(
            "processed {} insns (limit {}) max_states_per_insn {} total_states {} peak_states {} mark_read {}",
            statistics.insns_processed,
            crate::kernel::limits::PROCESSED_INSNS,
            statistics.max_states_per_insn,
            statistics.total_states,
            statistics.peak_states,
            statistics.longest_mark_read,
        );
        self.log.line(&line);
    }

    /// The object's name, for messages.
    #[must_use]
    pub fn object_name(&self) -> Arc<str> {
        self.object.name.as_str().into()
    }
}
