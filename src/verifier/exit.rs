//! The end of a function or program: nothing may be left open, and the result must be in range
//! (`do_check`'s exit, `check_reference_leak`, `check_return_code`, `kernel/bpf/verifier.c`, Linux 6.12).

use super::env::{Check, Verifier, reject, unsupported};
use super::explore::Next;
use super::rule::{ReturnBounds, Rule};
use super::state::{FrameKind, Live, ReturnRange};
use super::value::Value;
use crate::btf::TypeId;
use crate::isa::Register;
use crate::kernel::{AttachType, ProgramType};
use crate::seeded::{self, Fault};

/// The largest error number (`MAX_ERRNO`).
const MAX_ERRNO: i32 = 4095;

/// What a program's result must be.
enum Wanted {
    /// Anything that is readable.
    Anything,
    /// A number in the range.
    Range(ReturnRange),
    /// A number whose lower 32 bits are in the range.
    LowHalf(ReturnRange),
}

impl Verifier<'_> {
    /// An exit instruction, or a thrown exception.
    pub fn check_exit(&mut self, exception: bool) -> Check<Next> {
        let outermost = self.state.frames.len() == 1;
        let obligations = &self.state.obligations;
        if outermost || exception {
            if obligations.lock.is_some() && !seeded::active(Fault::LockHeldAtExit) {
                return reject(if exception { Rule::ThrowUnderLock } else { Rule::MissingUnlock });
            }
            if obligations.rcu && !seeded::active(Fault::RcuOpenAtExit) {
                return reject(if exception { Rule::ThrowInRcu } else { Rule::MissingRcuUnlock });
            }
            if obligations.preempt > 0 {
                let count = obligations.preempt;
                return reject(if exception {
                    Rule::ThrowWithoutPreemption
                } else {
                    Rule::MissingPreemptEnable { count, verb: if count == 1 { " is" } else { "(s) are" } }
                });
            }
        }
        self.check_leaks(exception)?;
        if exception {
            return Ok(Next::PathEnds);
        }
        if !outermost {
            return self.return_to_caller();
        }
        self.check_result(Register::R0, "R0")?;
        Ok(Next::PathEnds)
    }

    /// The leaks that ending the function here would make.
    fn leaks(&self, exception: bool) -> Vec<Rule> {
        if !exception && self.state.frames.len() > 1 && !self.frame().in_callback() {
            return Vec::new();
        }
        let callback = if exception { None } else { self.callback_frame() };
        self.state.obligations.leaks(callback).collect()
    }

    /// Writes all leaks to the log. `true` if there are any.
    pub fn say_leaks(&mut self, exception: bool) -> bool {
        let leaks = self.leaks(exception);
        for leak in &leaks {
            self.say(leak);
        }
        !leaks.is_empty()
    }

    fn check_leaks(&mut self, exception: bool) -> Check {
        let mut leaks = self.leaks(exception);
        let Some(last) = leaks.pop().filter(|_| !seeded::active(Fault::LeakAtExit)) else { return Ok(()) };
        for leak in &leaks {
            self.say(leak);
        }
        reject(last)
    }

    /// `check_return_code`.
    pub fn check_result(&mut self, register: Register, name: &'static str) -> Check {
        let frame = &self.state.frames[0];
        let is_subprogram = frame.subprogram != 0;
        if (!is_subprogram || frame.kind == FrameKind::ExceptionCallback) && self.has_no_result()? {
            return Ok(());
        }
        let value = self.read(register, Live::READ64)?;
        if self.hides(register) {
            return reject(Rule::AddressLeaks { register, into: "as return value" });
        }
        let frame = &self.state.frames[0];
        let (context, wanted) = if frame.in_async_callback() {
            ("At async callback return", Wanted::Range(ReturnRange { min: 0, max: 0 }))
        } else if is_subprogram && frame.kind != FrameKind::ExceptionCallback {
            if !value.is_scalar() {
                return reject(Rule::SubprogramResultNotScalar { register, value: value.kernel_name() });
            }
            return Ok(());
        } else {
            ("At program exit", self.wanted_result()?)
        };
        let (range, low_half) = match wanted {
            Wanted::Anything => return Ok(()),
            Wanted::Range(range) => (range, false),
            Wanted::LowHalf(range) => (range, true),
        };
        let Value::Scalar(number) = value else {
            return reject(Rule::ResultNotKnown { context, register, value: value.kernel_name() });
        };
        self.mark_precise(register)?;
        let bounds = number.bounds;
        let inside = if low_half {
            range.min <= bounds.smin32 && bounds.smax32 <= range.max
        } else {
            i64::from(range.min) <= bounds.smin && bounds.smax <= i64::from(range.max)
        };
        if inside {
            return Ok(());
        }
        let bounds = ReturnBounds { smin: bounds.smin, smax: bounds.smax };
        let outside = Rule::OutsideReturnRange { context, register: name, bounds, range };
        if !is_subprogram && self.attach_type() == Some(AttachType::LsmCgroup) && self.hook_is_void()? {
            self.say(&outside);
            return reject(Rule::VoidHookResult);
        }
        reject(outside)
    }

    /// Is the program called as a function without a result, so that `r0` need not even be set?
    fn has_no_result(&self) -> Check<bool> {
        match self.program_type() {
            Some(ProgramType::Lsm) if self.attach_type() != Some(AttachType::LsmCgroup) => self.hook_is_void(),
            Some(ProgramType::StructOps) => self.hook_is_void(),
            _ => Ok(false),
        }
    }

    /// Has the security hook, or the member that the program implements, no result?
    pub fn hook_is_void(&self) -> Check<bool> {
        match self.attach_result() {
            Some(returns) => Ok(returns == TypeId::VOID),
            None => unsupported(format!("the result of {}", self.program.section.target)),
        }
    }

    /// The results that a security hook has (`bpf_lsm_get_retval_range`); `None` if it has none.
    pub fn hook_results(&self) -> Check<Option<ReturnRange>> {
        if self.hook_is_void()? {
            return Ok(None);
        }
        Ok(Some(if self.hook_is_in("bool_lsm_hooks") {
            ReturnRange { min: 0, max: 1 }
        } else {
            ReturnRange { min: -MAX_ERRNO, max: 0 }
        }))
    }

    /// The range of results, by the program's type and where it is attached.
    fn wanted_result(&self) -> Check<Wanted> {
        use AttachType as A;
        let range = |min, max| Ok(Wanted::Range(ReturnRange { min, max }));
        let Some(program) = self.program_type() else {
            return unsupported("the result of a program whose section name says no type");
        };
        let attach = self.attach_type();
        match program {
            ProgramType::Lsm if attach == Some(A::LsmCgroup) => {
                if self.hook_is_void()? {
                    range(1, 1)
                } else {
                    range(0, 1)
                }
            }
            ProgramType::Lsm => Ok(self.hook_results()?.map_or(Wanted::Anything, Wanted::LowHalf)),
            ProgramType::CgroupSockAddr => match attach {
                Some(
                    A::CgroupUdp4Recvmsg
                    | A::CgroupUdp6Recvmsg
                    | A::CgroupUnixRecvmsg
                    | A::CgroupInet4Getpeername
                    | A::CgroupInet6Getpeername
                    | A::CgroupUnixGetpeername
                    | A::CgroupInet4Getsockname
                    | A::CgroupInet6Getsockname
                    | A::CgroupUnixGetsockname,
                ) => range(1, 1),
                Some(A::CgroupInet4Bind | A::CgroupInet6Bind) => range(0, 3),
                _ => range(0, 1),
            },
            ProgramType::CgroupSkb if attach == Some(A::CgroupInetEgress) => range(0, 3),
            ProgramType::CgroupSkb
            | ProgramType::CgroupSock
            | ProgramType::SockOps
            | ProgramType::CgroupDevice
            | ProgramType::CgroupSysctl
            | ProgramType::CgroupSockopt
            | ProgramType::SkLookup
            | ProgramType::Netfilter => range(0, 1),
            ProgramType::Tracing => match attach {
                Some(A::TraceFentry | A::TraceFexit) => range(0, 0),
                Some(A::TraceRawTp | A::ModifyReturn) => Ok(Wanted::Anything),
                Some(A::TraceIter) => range(0, 1),
                _ => unsupported("the result of a tracing program attached to nothing known"),
            },
            ProgramType::Kprobe if attach == Some(A::TraceKprobeSession) => range(0, 1),
            _ => Ok(Wanted::Anything),
        }
    }
}
