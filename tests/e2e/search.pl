# SPDX-License-Identifier: Apache-2.0
# What a curious agent does: looks into every process, file, socket and variable that it can reach, and says what it
# found, a line each: "found WHERE WHAT".  A test plants the canaries; their pattern does not match itself.
use strict;
use warnings;
use Socket;

my $dir = "$ENV{AMBIENT_SESSION_DIR}/workspace";
my $wanted = qr/(canary-[a-z]+-[0-9a-f]{16}|eyJhbGciOi[A-Za-z0-9_-]{20}|BEGIN [A-Z ]*PRIVATE KEY)/;
open(my $out, '>', "$dir/found.tmp") or die "found.tmp: $!";
my (%seen, %said, $files);

sub say_it {
	my $line = join(' ', @_);
	print $out "$line\n" unless $said{$line}++;
}

sub scan {
	my ($where, $text) = @_;
	while ($text =~ /$wanted/g) {
		say_it('found', $where, $1);
	}
}

sub slurp {
	my ($path) = @_;
	open(my $in, '<', $path) or return '';
	my $text = '';
	while (length($text) < 8 << 20) {
		my $n = sysread($in, $text, 1 << 16, length($text));
		last unless $n;
	}
	return $text;
}

sub memory {
	my ($pid) = @_;
	open(my $mem, '<', "/proc/$pid/mem") or return say_it('memory', $pid, 'closed');
	for my $line (split /\n/, slurp("/proc/$pid/maps")) {
		next unless $line =~ /^([0-9a-f]+)-([0-9a-f]+) rw/;
		my ($from, $size) = (hex $1, hex($2) - hex($1));
		next if $size > 64 << 20;
		sysseek($mem, $from, 0) or next;
		my $text = '';
		sysread($mem, $text, $size) or next;
		scan("memory of $pid", $text);
	}
}

sub walk {
	my ($top, $depth) = @_;
	my @st = lstat($top) or return;
	return if -l _ || $depth > 12 || ($files // 0) > 20000;
	if (-d _) {
		return if $seen{"$st[0]:$st[1]"}++;
		opendir(my $d, $top) or return;
		my @names = grep { $_ ne '.' && $_ ne '..' } readdir($d);
		closedir($d);
		walk($top eq '/' ? "/$_" : "$top/$_", $depth + 1) for @names;
	} elsif (-S _) {
		say_it('socket', $top);
	} elsif (-f _ && $top !~ m{^\Q$dir\E/found}) {
		$files++;
		scan($top, slurp($top));
	}
}

# What is the system's, by whichever path.
$seen{join(':', (lstat($_))[0, 1])}++ for grep { -d } '/proc', '/sys', '/usr', '/lib', '/lib64', '/bin', '/sbin', '/dev';

# Itself and its neighbours.
scan("variable $_", $ENV{$_}) for keys %ENV;
for my $pid (grep { -d "/proc/$_" } map { m{/proc/(\d+)$} ? $1 : () } glob('/proc/[0-9]*')) {
	say_it('process', $pid, join(' ', split /\0/, substr(slurp("/proc/$pid/cmdline"), 0, 60)) =~ s/\s+/ /gr);
	scan("environ of $pid", slurp("/proc/$pid/environ"));
	scan("arguments of $pid", slurp("/proc/$pid/cmdline"));
	memory($pid) unless $pid == $$;
	for my $link (glob("/proc/$pid/fd/*"), "/proc/$pid/cwd", "/proc/$pid/root") {
		my $to = readlink($link) // next;
		scan("descriptor of $pid", slurp($link)) if $to =~ m{^/} && $to !~ m{^/(dev|proc)} && -f $link;
		walk($link . '/.', 0) if $link =~ /(cwd|root)$/;
	}
}

# Files.
walk('/', 0);
for my $list ('/', '/workspace/sessions', $ENV{AMBIENT_SESSION_DIR}, '/root', '/home', '/run', '/var/run', '/tmp', '/run/ambient') {
	opendir(my $d, $list) or next;
	say_it('list', $list, join(',', sort grep { !/^\.\.?$/ } readdir($d)));
}
say_it('readable', $_) for grep { -r } glob('/workspace/sessions/*/.ambient'), glob('/workspace/sessions/*/.ambient/*'),
	'/var/run/secrets/kubernetes.io/serviceaccount/token', glob('/run/secrets/*'), map { chomp; $_ } split /\n/, slurp("$dir/targets");

# Other processes, by the numbers that they have outside.
for my $pid (split ' ', slurp("$dir/pids")) {
	say_it('signal', $pid) if kill(0, $pid);
}

# What must not be written.
for my $path ('/etc/passwd', '/usr/bin/canary', '/usr/local/bin/ambient-runner', '/proc/sys/kernel/core_pattern', '/canary',
	      split(/\n/, slurp("$dir/targets"))) {
	next unless $path;
	if (open(my $w, '>>', $path)) {
		say_it('written', $path) if $path ne '/canary';
	}
}
# The kernel's own files: opening changes nothing, being able to is enough.
my $opened = 0;
sub try_kernel {
	my ($top, $depth) = @_;
	my @st = lstat($top) or return;
	return if -l _ || $depth > 8 || $opened > 20;
	if (-d _) {
		opendir(my $d, $top) or return;
		my @names = grep { !/^\.\.?$/ && !($top eq '/proc' && /^(\d+|self|thread-self)$/) } readdir($d);
		closedir($d);
		try_kernel("$top/$_", $depth + 1) for @names;
	} elsif (sysopen(my $w, $top, 1)) {
		$opened++;
		say_it('written', $top);
	}
}
try_kernel($_, 0) for '/proc', '/sys';

my ($caps) = slurp('/proc/self/status') =~ /CapEff:\s*(\S+)/;
my ($privs) = slurp('/proc/self/status') =~ /NoNewPrivs:\s*(\S+)/;
say_it('capabilities', $caps);
say_it('nonewprivs', $privs);

# The API server, by the words that curl knows.
my $api = slurp("$dir/api");
for my $path (split ' ', slurp("$dir/paths")) {
	last unless -x '/usr/bin/curl';
	my $code = `curl -sk -o '$dir/answer' -w '%{http_code}' '$api$path' 2>/dev/null`;
	say_it('api', $code, $path);
	scan("api $path", slurp("$dir/answer"));
}
say_it('files', $files // 0);
close($out);
rename("$dir/found.tmp", "$dir/found");
