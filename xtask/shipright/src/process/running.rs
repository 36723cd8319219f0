//! Processes of this machine, whoever has started them.

/// Whether a process with this id is there.
pub fn is_running(process: u32) -> bool {
    // A zombie still takes signals; for our purposes it has ended.
    let state = std::fs::read_to_string(format!("/proc/{process}/stat")).ok();
    let zombie = state
        .and_then(|stat| {
            stat.rsplit_once(") ")
                .map(|(_, rest)| rest.starts_with('Z'))
        })
        .unwrap_or(false);
    !zombie && signal(process, 0)
}

/// The command line of a process, its words separated by spaces. `None` where the system does not tell.
pub fn command_line(process: u32) -> Option<String> {
    let bytes = std::fs::read(format!("/proc/{process}/cmdline")).ok()?;
    Some(String::from_utf8_lossy(&bytes).replace('\0', " "))
}

/// The process that started this one. `None` where the system does not tell.
pub fn parent(process: u32) -> Option<u32> {
    let stat = std::fs::read_to_string(format!("/proc/{process}/stat")).ok()?;
    stat.rsplit_once(") ")?.1.split(' ').nth(1)?.parse().ok()
}

/// The network namespace that a process is in, as `net:[4026531833]`. `None` where the system does not tell.
pub fn network(process: u32) -> Option<String> {
    let link = std::fs::read_link(format!("/proc/{process}/ns/net")).ok()?;
    Some(link.to_string_lossy().into_owned())
}

/// Every process. Empty where the system does not tell.
pub fn all() -> Vec<u32> {
    let entries = std::fs::read_dir("/proc")
        .map(|entries| entries.flatten().collect::<Vec<_>>())
        .unwrap_or_default();
    entries
        .iter()
        .filter_map(|entry| entry.file_name().to_str()?.parse().ok())
        .collect()
}

/// Asks a process to end.
pub fn terminate(process: u32) -> bool {
    signal(process, libc::SIGTERM)
}

/// Ends a process at once.
pub fn kill(process: u32) -> bool {
    signal(process, libc::SIGKILL)
}

pub(super) fn signal(process: u32, number: i32) -> bool {
    let Ok(process) = i32::try_from(process) else {
        return false;
    };
    // SAFETY: `kill` takes two numbers and touches no memory of ours.
    process > 0 && unsafe { libc::kill(process, number) } == 0
}
