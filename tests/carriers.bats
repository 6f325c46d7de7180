#!/usr/bin/env bats
# Guards the carriers: whatever stdin and stdout are, and whatever the kernel refuses in the middle of a
# stream, each byte arrives once and in order, and the exit status says so.

load helpers

KINDS='pipe file append null socket'
SIZES='1 65535 65536 65537 10485760'

# carry [OPTION]... IN OUT SIZE SUBCOMMAND [WORD]...: one transfer each way (tests/helpers/carriage.c), WORDs
# in front of tcptool.
carry() {
	local cell=("$@")
	timeout -k 5 70 "$HELPERS/carriage" "$@" "$TCPTOOL" >carry.out 2>carry.err \
		3>&- 4>&- 5>&- 6>&- 7>&- 8>&- 9>&- || {
		echo "failed: ${cell[*]}"
		cat carry.out carry.err
		return 1
	}
}

# inject WHAT IN OUT SIZE: the transfer as client and as server, with that fault injected.
inject() {
	local subcommand what=$1
	shift
	for subcommand in connect listen; do
		rm -f calls
		carry "$@" "$subcommand" strace -f --seccomp-bpf -o calls -e "trace=${what%%:*}" -e "inject=$what"
	done
}

# injected: the last transfer has met the fault.
injected() {
	grep -q INJECTED calls
}

need_injection() {
	need_strace
	strace -f --seccomp-bpf -o /dev/null -e trace=splice -e inject=splice:error=EINVAL true 2>/dev/null ||
		skip "strace cannot inject here"
}

# --- whatever the two ends are -------------------------------------------------------------------

@test "every kind of stdin and stdout, every size around a pipe's room: as client" {
	for in in $KINDS; do
		for out in $KINDS; do
			for size in $SIZES; do
				carry "$in" "$out" "$size" connect
			done
			carry -b "$in" "$out" 3000 connect
		done
	done
}

@test "every kind of stdin and stdout, every size around a pipe's room: as server" {
	for in in $KINDS; do
		for out in $KINDS; do
			for size in $SIZES; do
				carry "$in" "$out" "$size" listen
			done
			carry -b "$in" "$out" 3000 listen
		done
	done
}

@test "a terminal as stdin, as stdout and as both, with every other kind" {
	need_terminal
	for subcommand in connect listen; do
		for kind in $KINDS terminal; do
			for size in $SIZES; do
				carry terminal "$kind" "$size" "$subcommand"
				carry "$kind" terminal "$size" "$subcommand"
			done
			carry -b terminal "$kind" 3000 "$subcommand"
			carry -b "$kind" terminal 3000 "$subcommand"
		done
	done
}

@test "stdout and peer stop reading for a while: no processor time, and then all arrives" {
	for kinds in 'pipe pipe' 'file null' 'file file' 'socket socket'; do
		# shellcheck disable=SC2086 # two words
		carry -p 400 $kinds 20000000 connect
	done
}

@test "a terminal is not read for a while: no processor time, and then all arrives" {
	need_terminal
	carry -p 400 terminal terminal 20000000 connect
}

@test "single bytes fill the slots of a pipe that is not read: no processor time, and then all arrives" {
	mkfifo out.fifo
	exec 5<>out.fifo
	peer_bg peer dribble:0:"$(head -c 9000 /dev/zero | tr '\0' x)" touch:all-sent eof
	OUT=out.fifo start_bg tool "$TCPTOOL" connect 127.0.0.1 "$PORT"
	wait_for test -e all-sent
	calm tool
	start_bg reader head -c 9000 out.fifo
	ends 0 reader
	ends 0 tool
	[ "$(tr -d x <reader.out | wc -c)" -eq 0 ]
	[ "$(wc -c <reader.out)" -eq 9000 ]
}

# --- what the kernel refuses ---------------------------------------------------------------------

@test "splice(2) refused at any call: the copy goes on where it stopped" {
	need_injection
	for error in EINVAL ENOSYS EPERM; do
		for when in 1 2 3 5 8 13 21+ 1+; do
			for kinds in 'pipe pipe' 'file null' 'socket socket' 'file append'; do
				# shellcheck disable=SC2086 # two words
				inject "splice:error=$error:when=$when" $kinds 2000000
			done
			inject "splice:error=$error:when=$when" pipe pipe 65537
		done
		inject "splice:error=$error:when=2" pipe pipe 2000000
		injected
	done
}

@test "splice(2) that says EAGAIN though all is ready: once, at times, and always" {
	need_injection
	for when in 1 2 3 5 8 2+2 5+7 1+; do
		for kinds in 'pipe pipe' 'file null' 'file file'; do
			# shellcheck disable=SC2086 # two words
			inject "splice:error=EAGAIN:when=$when" $kinds 2000000
		done
	done
	inject "splice:error=EAGAIN:when=3" pipe pipe 2000000
	injected
}

@test "splice(2) interrupted by signals" {
	need_injection
	for when in 1 2+3 5+2; do
		inject "splice:error=EINTR:when=$when" pipe pipe 2000000
	done
	injected
}

@test "no pipe to be had: bytes are copied" {
	need_injection
	for error in EMFILE ENFILE ENOMEM; do
		for when in 1 2 1+; do
			inject "pipe2:error=$error:when=$when" file null 2000000
		done
		injected
	done
}

@test "a pipe that may not grow is used as it is" {
	need_injection
	for error in EPERM EBUSY EINVAL; do
		for kinds in 'pipe pipe' 'file null'; do
			# shellcheck disable=SC2086 # two words
			inject "fcntl:error=$error:when=1+" $kinds 2000000
		done
		injected
	done
}

@test "reads and writes that are not to wait, refused by the kernel: others are found" {
	need_injection
	for call in preadv2 pwritev2; do
		for error in EOPNOTSUPP ENOSYS; do
			inject "$call:error=$error:when=1+" pipe pipe 300000
		done
	done
}

@test "reads and writes that are not to wait, refused at a terminal: others are found" {
	need_injection
	need_terminal
	for call in preadv2 pwritev2; do
		for error in EOPNOTSUPP ENOSYS; do
			inject "$call:error=$error:when=1+" terminal terminal 300000
		done
	done
}

@test "a forwarder whose splice(2) is refused in the middle loses nothing" {
	need_injection
	random file 3000000
	listen_bg upstream -k 127.0.0.1 0 -- cat
	upstream=$PORT
	for when in 1 2 3 7 1+; do
		rm -f tool.port
		start_bg tool strace -f --seccomp-bpf -o calls -e trace=splice -e "inject=splice:error=EINVAL:when=$when" \
			"$TCPTOOL" listen --port-file=tool.port -F "127.0.0.1:$upstream" 127.0.0.1 0
		wait_port tool.port
		returns 0 "$TCPTOOL" connect 127.0.0.1 "$PORT" <file
		cmp file out
		ends 0 tool
		injected
	done
}
