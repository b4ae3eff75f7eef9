//! RCU sections and sections without preemption.

use crate::machine::event::Event;
use crate::machine::fault::{FaultKind, Trap};

use super::{Answer, Call, Model, Modelled, kfunc};

pub(super) static MODELS: &[Model] = &[
    kfunc("bpf_rcu_read_lock", 0, read_lock).relaxed().fixed(),
    kfunc("bpf_rcu_read_unlock", 0, read_unlock).relaxed().fixed(),
    kfunc("bpf_preempt_disable", 0, preempt_disable).relaxed().fixed(),
    kfunc("bpf_preempt_enable", 0, preempt_enable).relaxed().fixed(),
];

fn read_lock(call: &mut Call<'_>) -> Modelled {
    call.execution()?.rcu_sections += 1;
    call.machine.enter_rcu(call.task);
    call.machine.report.events.push(Event::RcuLock);
    Ok(Answer::Nothing)
}

fn read_unlock(call: &mut Call<'_>) -> Modelled {
    let execution = call.execution()?;
    let Some(left) = execution.rcu_sections.checked_sub(1) else {
        return Err(Trap::fault(FaultKind::Unbalanced("bpf_rcu_read_unlock without bpf_rcu_read_lock")));
    };
    execution.rcu_sections = left;
    call.machine.leave_rcu(call.task);
    call.machine.report.events.push(Event::RcuUnlock);
    Ok(Answer::Nothing)
}

fn preempt_disable(call: &mut Call<'_>) -> Modelled {
    call.execution()?.preempt_sections += 1;
    // A CPU that cannot be preempted holds back grace periods as any reader does.
    call.machine.enter_rcu(call.task);
    call.machine.report.events.push(Event::PreemptDisable);
    Ok(Answer::Nothing)
}

fn preempt_enable(call: &mut Call<'_>) -> Modelled {
    let execution = call.execution()?;
    let Some(left) = execution.preempt_sections.checked_sub(1) else {
        return Err(Trap::fault(FaultKind::Unbalanced("bpf_preempt_enable without bpf_preempt_disable")));
    };
    execution.preempt_sections = left;
    call.machine.leave_rcu(call.task);
    call.machine.report.events.push(Event::PreemptEnable);
    Ok(Answer::Nothing)
}
