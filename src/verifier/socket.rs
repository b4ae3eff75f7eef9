//! Fields of sockets that programs read through socket pointers (`check_sock_access`, `kernel/bpf/verifier.c`,
//! Linux 6.12). The fields stand in [`crate::kernel::contexts`].

use super::env::{Check, Verifier, reject};
use super::memory::{Access, Mode};
use super::rule::Rule;
use super::value::{Pointer, SocketKind};
use crate::kernel::contexts::{ContextAccess, SOCKET, SOCKET_COMMON_HIDDEN, TCP_SOCKET, XDP_SOCKET};

impl Verifier<'_> {
    /// A load through a socket pointer; stores are refused.
    pub fn check_socket_access(&mut self, pointer: &Pointer, kind: SocketKind, access: Access) -> Check {
        let Access { base: register, offset, size, .. } = access;
        if access.mode == Mode::Write {
            return reject(Rule::WriteReadOnly { register, pointer: pointer.kernel_name() });
        }
        if pointer.variable.smin < 0 {
            return reject(Rule::NegativeMinimum { register });
        }
        let (layout, hidden) = match kind {
            SocketKind::Common => (&SOCKET, SOCKET_COMMON_HIDDEN),
            SocketKind::Full { .. } => (&SOCKET, &[] as &[&str]),
            SocketKind::Tcp => (&TCP_SOCKET, &[] as &[&str]),
            SocketKind::Xdp { .. } => (&XDP_SOCKET, &[] as &[&str]),
        };
        let wanted = ContextAccess { offset, size, write: false, signed: access.signed };
        let field = layout.field_at(offset).filter(|field| !hidden.contains(&field.name));
        if field.and_then(|field| field.access(wanted)).is_none() {
            return reject(Rule::InvalidSocketAccess { register, pointer: pointer.kernel_name(), offset, size });
        }
        self.load_unknown(access);
        Ok(())
    }
}
