//! `signet completions`.

use clap::{Args, CommandFactory as _};
use clap_complete::Shell;

use super::{Cli, Failure};

/// Print what a shell needs to complete signet's command line
#[derive(Debug, Args)]
#[command(after_help = "Examples:
  signet completions bash > /etc/bash_completion.d/signet
  signet completions zsh > \"${fpath[1]}/_signet\"
  signet completions fish > ~/.config/fish/completions/signet.fish")]
pub struct Completions {
    #[arg(value_enum)]
    shell: Shell,
}

impl Completions {
    pub fn run(self) -> Result<(), Failure> {
        let mut script = Vec::new();
        clap_complete::generate(self.shell, &mut Cli::command(), "signet", &mut script);
        super::api::print_line(String::from_utf8_lossy(&script).trim_end());
        Ok(())
    }
}
