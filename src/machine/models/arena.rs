//! Pages of arenas (`bpf_arena_alloc_pages`, `bpf_arena_free_pages`, `kernel/bpf/arena.c`, Linux 6.12).

use crate::machine::event::{AccessKind, Event};
use crate::machine::fault::Trap;
use crate::machine::maps::MapFamily;

use super::map::touch_map;
use super::{Answer, Call, Model, Modelled, kfunc};

pub(super) static MODELS: &[Model] =
    &[kfunc("bpf_arena_alloc_pages", 5, allocate).sleeping(), kfunc("bpf_arena_free_pages", 3, free).sleeping()];

fn arena(call: &mut Call<'_>) -> Result<Option<u32>, Box<Trap>> {
    let map = call.machine.map_at(call.name, call.args[0])?;
    call.machine.arena_start()?;
    touch_map(call, map, AccessKind::Atomic);
    Ok((call.machine.maps[map as usize].family == MapFamily::Arena).then_some(map))
}

fn allocate(call: &mut Call<'_>) -> Modelled {
    let (wish, count, node, flags) = (call.args[1], call.arg32(2), call.arg32(3) as i32, call.args[4]);
    match arena(call)? {
        Some(map) if flags == 0 && count != 0 => {
            let address = call.machine.arena_allocate(map, wish, count, node, call.at)?;
            Ok(Answer::Value(address))
        }
        _ => Ok(Answer::Value(0)),
    }
}

fn free(call: &mut Call<'_>) -> Modelled {
    let (address, count) = (call.args[1], call.arg32(2));
    if let Some(map) = arena(call)?
        && address != 0
    {
        for page in call.machine.arena_free(map, address, count) {
            call.machine.report.events.push(Event::Freed(page));
        }
    }
    Ok(Answer::Nothing)
}
