//! The init process of kptrsim's guest: it loads BPF programs into the kernel it runs on, as the host asks.
//!
//! It runs as process 1 of an initramfs that holds nothing else. The host speaks to it over a virtio-serial port
//! ([`protocol`]); the console is left to the kernel, so that a panic is readable there. Process 1 only passes messages
//! ([`serve`]): every request is carried out in a child, and every program is loaded in a child of that child, so that nothing that
//! libbpf or a broken object does can end the session. Start at [`serve::serve`], then [`load`], [`run`] and [`scenario`].

mod libbpf;
mod load;
mod maps;
mod privileges;
mod process;
mod protocol;
mod race;
mod reset;
mod run;
mod scenario;
mod serve;
mod setup;
mod verifier_log;

fn main() {
    let outcome = setup::prepare_machine().and_then(serve::serve);
    if let Err(error) = outcome {
        println!("kptrsim-guest: {error}");
    }
    setup::power_off();
}
