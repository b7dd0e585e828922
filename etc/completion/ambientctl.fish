# fish completion for ambientctl
function __ambientctl_complete
	set -l words (commandline -opc) (commandline -ct)
	ambientctl __complete -- $words[2..-1] 2>/dev/null
end
complete -c ambientctl -f -a '(__ambientctl_complete)'
