package cli

import (
	"fmt"
	"strings"
)

// Shells are those that completion is there for.
var Shells = []string{"bash", "zsh", "fish"}

// completed are the programs that the scripts complete.
var completed = []string{"gosalt", "gosalt-call", "gosalt-cp", "gosalt-key", "gosalt-ssh", "gosalt-run", "gosalt-master", "gosalt-minion"}

// Completed lists those programs.
func Completed() []string { return completed }

// CompletionScript is what a shell reads to complete all of gosalt's programs. The
// scripts know nothing themselves: they ask the program that is being typed.
func CompletionScript(shell string) (string, error) {
	script, ok := map[string]string{"bash": bashScript, "zsh": zshScript, "fish": fishScript}[shell]
	if !ok {
		return "", fmt.Errorf("no completion for %q: %s expected", shell, strings.Join(Shells, ", "))
	}
	return strings.ReplaceAll(script, "PROGRAMS", strings.Join(completed, " ")), nil
}

const bashScript = `# bash completion for gosalt. Install it as a file of bash-completion, or: source <(gosalt --completion bash)
_gosalt() {
  local out code IFS=$'\n'
  out=$("${COMP_WORDS[0]}" --complete bash "${COMP_LINE:0:COMP_POINT}" 2>/dev/null)
  code=$?
  COMPREPLY=()
  if [ $code = 3 ]; then
    compopt -o default 2>/dev/null
    return
  fi
  COMPREPLY=($out)
  case ${COMPREPLY[0]} in
    *=) [ ${#COMPREPLY[@]} = 1 ] && compopt -o nospace 2>/dev/null ;;
  esac
}
complete -F _gosalt PROGRAMS
`

const zshScript = `#compdef PROGRAMS
# zsh completion for gosalt. Install it as _gosalt in a directory of fpath, or: source <(gosalt --completion zsh)
_gosalt() {
  local -a lines open closed
  local out code line
  out=$("${words[1]}" --complete zsh "${(@Q)words[2,CURRENT]}" 2>/dev/null)
  code=$?
  if (( code == 3 )); then
    _files
    return
  fi
  [[ -n $out ]] || return 1
  for line in "${(@f)out}"; do
    if [[ ${line%%:*} == *= ]]; then open+=("$line"); else closed+=("$line"); fi
  done
  (( ${#closed} )) && _describe 'gosalt' closed
  (( ${#open} )) && _describe 'argument' open -S ''
  return 0
}
if [ "$funcstack[1]" = "_gosalt" ]; then
  _gosalt "$@"
else
  compdef _gosalt PROGRAMS
fi
`

const fishScript = `# fish completion for gosalt. Install it in a directory of fish_complete_path, or: gosalt --completion fish | source
function __gosalt_complete
  set -l words (commandline -opc)
  set -l word (commandline -ct)
  set -l out ($words[1] --complete fish $words[2..-1] "$word" 2>/dev/null)
  if test $status = 3
    __fish_complete_path "$word"
    return
  end
  test (count $out) -gt 0; and printf '%s\n' $out
end
for program in PROGRAMS
  complete -c $program -f -a '(__gosalt_complete)'
end
`
