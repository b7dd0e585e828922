# fish completion for ambientctl
function __ambientctl_complete
	set -l words (commandline -opc) (commandline -ct)
	set -l found (ambientctl __complete -- $words[2..-1] 2>/dev/null)
	if set -q found[1]
		printf '%s\n' $found
	else
		__fish_complete_path (commandline -ct)
	end
end
complete -c ambientctl -f -a '(__ambientctl_complete)'
