"""`initctl completion`: what a shell needs to complete command lines."""

from __future__ import annotations

import sys

import typer

from initctl.cli.streams import say
from initctl.errors import Problem, UsageError, shown
from initctl.suggestions import did_you_mean

SCRIPTS = {
    "bash": """\
_initctl() {
    local found
    COMPREPLY=()
    while IFS= read -r found; do
        [[ -n $found ]] && COMPREPLY+=("$found")
    done < <("$1" completion --line "${COMP_LINE:0:COMP_POINT}" --word "${COMP_WORDS[COMP_CWORD]}" 2>/dev/null)
}
complete -o bashdefault -o default -o nospace -F _initctl initctl
""",
    "zsh": """\
#compdef initctl
_initctl() {
    local found whole=() begun=()
    for found in "${(@f)$(initctl completion --line "${BUFFER[1,CURSOR]}" 2>/dev/null)}"; do
        case $found in
            '') ;;
            *' ') whole+=("${found% }") ;;
            *) begun+=("$found") ;;
        esac
    done
    (( $#whole + $#begun )) || { _files; return }
    (( $#whole )) && compadd -Q -U -- "${whole[@]}"
    (( $#begun )) && compadd -Q -U -S '' -- "${begun[@]}"
}
compdef _initctl initctl
""",
    "fish": """\
complete -c initctl -a '(initctl completion --line (commandline -cp) 2>/dev/null)'
""",
    "powershell": """\
Register-ArgumentCompleter -Native -CommandName initctl -ScriptBlock {
    param($word, $line, $position)
    $typed = "$line".PadRight($position).Substring(0, $position)
    initctl completion --line $typed 2>$null | ForEach-Object {
        [System.Management.Automation.CompletionResult]::new($_.TrimEnd())
    }
}
""",
}
SHELL = typer.Argument(None, metavar="SHELL", help="The shell: bash, zsh, fish or powershell.")
LINE = typer.Option(None, "--line", metavar="TEXT", help="For scripts: list what the last word of TEXT may become.")
WORD = typer.Option("", "--word", metavar="TEXT", help="For scripts: the part of that word that the shell replaces.")
_BREAKS = ("=", ":")
"""Bash treats these as separate words."""
_QUOTES = ("'", '"')


def completion(shell: str | None = SHELL, line: str | None = LINE, word: str = WORD) -> None:
    """Print a script that completes command lines.

    It completes commands, options, presets, initializers and their parameters, topics, and the names of tensors of the
    checkpoint on the line. Add the line below to ~/.bashrc, or write the script for another shell to a file that this
    shell reads.

    Examples:
    eval "$(initctl completion bash)"
    initctl completion fish > ~/.config/fish/completions/initctl.fish
    """
    if line is not None:
        say("\n".join(_replacements(line, word)), sys.stdout)
    elif shell in SCRIPTS:
        say(SCRIPTS[shell].rstrip("\n"), sys.stdout)
    else:
        fault = f"unknown shell {shown(shell)}" if shell else "no shell given"
        hint = did_you_mean(shell or "", SCRIPTS) or f"use {', '.join(SCRIPTS)}"
        raise UsageError(Problem("usage.shell", fault, hint))


def _replacements(line: str, word: str) -> list[str]:
    """Completions of the shell's own `word`, which may be only the end of the last word of `line`."""
    from initctl.cli.candidates import Typed, candidates

    typed, replaced = Typed.of(line).word, "" if word in _BREAKS else word.lstrip("".join(_QUOTES))
    kept = len(typed) - len(replaced) if typed.endswith(replaced) else 0
    found = [candidate[kept:] for candidate in candidates(line)]
    return _quoted(found) if word.startswith(_QUOTES) else found


def _quoted(found: list[str]) -> list[str]:
    """The candidates behind a quotation mark. Bash closes the quotation if there is only one candidate, so that an
    incomplete one needs a second one beside it.
    """
    match [candidate.rstrip() for candidate in found]:
        case [only] if only == found[0]:
            return [only, f"{only}…"]
        case several:
            return several
