#compdef ambientctl
# zsh completion for ambientctl
_ambientctl()
{
	local -a found
	found=(${(f)"$(ambientctl __complete -- "${(@)words[2,CURRENT]}" 2>/dev/null)"})
	if (( $#found )); then compadd -a found; else _files; fi
}
if [[ $funcstack[1] == _ambientctl ]]; then _ambientctl "$@"; else compdef _ambientctl ambientctl; fi
