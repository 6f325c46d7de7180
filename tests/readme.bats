#!/usr/bin/env bats
# The README says what is true: its examples are taken from it and run, and what they print has to
# be what it shows. An example is an indented block whose commands begin with "$ "; all else in it is
# what they print. A new section with examples needs a test of its name here.

load helpers

README=$BATS_TEST_DIRNAME/../README

# What can differ from run to run: how long something took, when it was, from which port.
without_times() {
	sed -E 's/ open [0-9.]+$/ open MS/; s/ in [0-9.e-]+ s, .*$/ in TIME/
		s/^([=<>] #1) [0-9: .-]*:[0-9]+\.[0-9]+ /\1 TIME /; s/ from 127\.0\.0\.1 port [0-9]+$/ from PEER/'
}

# The lines "SECTION<tab>BLOCK<tab>LINE" of all indented blocks.
blocks() {
	awk '
		/^---+$/ { section = before }
		/^    / { if (!inside) block++; print section "\t" block "\t" substr($0, 5) }
		{ inside = /^    /; before = $0 }' "$README"
}

# The numbers of the blocks with commands, of one section or of all.
examples() {
	blocks | awk -F '\t' -v section="${1-}" '
		(section == "" || $1 == section) && substr($3, 1, 2) == "$ " && !seen[$2]++ { print $2 }'
}

block() {
	blocks | awk -F '\t' -v block="$1" '$2 == block { print $3 }'
}

# The commands on stdin as a script: each has to succeed, unless the next one shows its status.
script_of() {
	echo 'trap "kill \$(jobs -p) 2>/dev/null; wait" EXIT'
	awk '
		function check() {
			if (command != "")
				print "status=$?; [ $status -eq 0 ] || { echo \"status $status: " NR "\"; exit 1; }"
		}
		substr($0, 1, 2) != "$ " { next }
		$0 != "$ echo $?" { check() }
		{ command = substr($0, 3); print command; if ($0 == "$ echo $?") command = "" }
		END { check() }'
}

# Puts programs into ./bin for which 9000 and 9001 are ports that the kernel picks: each listener writes
# its own to a file in $PORTS, and who connects waits for that. All else of the command line stays.
make_stand_ins() {
	mkdir -p bin
	cat >bin/ports <<-'END'
		# known WORD: sets WORD to it, with the real port in it
		known() {
			local i port
			WORD=$1
			for port in 9000 9001; do
				[[ $WORD == *:$port* || $WORD == "$port" ]] || continue
				for ((i = 0; i < 1000; i++)); do
					[ ! -e "$PORTS/$port.port" ] || break
					"$HELPERS/pause" 10
				done
				WORD=${WORD/$port/$(<"$PORTS/$port.port")}
			done
		}
	END
	cat >bin/tcptool <<-'END'
		#!/usr/bin/env bash
		. "${0%/*}/ports"
		words=("$1") own=() before=
		shift
		while [ $# -gt 0 ] && [ "$1" != -- ]; do
			if [[ ${words[0]} == listen && $1 != --* && $before != -F && $1 =~ (^|:)(900[01])$ ]]; then
				own=(--port-file="$PORTS/${BASH_REMATCH[2]}.port")
				WORD=${1/%900[01]/0}
			else
				known "$1"
			fi
			words+=("$WORD")
			before=$1
			shift
		done
		exec "$TCPTOOL" "${words[0]}" "${own[@]}" "${words[@]:1}" "$@"
	END
	cat >bin/git <<-'END'
		#!/usr/bin/env bash
		. "${0%/*}/ports"
		words=()
		for word; do
			known "$word"
			words+=("$WORD")
		done
		PATH=${PATH#*:}
		exec "${0##*/}" "${words[@]}"
	END
	cp bin/git bin/rsync
	chmod +x bin/tcptool bin/git bin/rsync
}

# Runs one example in a directory of its own and compares what it prints.
run_example() {
	local port
	mkdir -p "$1"
	block "$1" | grep -v '^\$ ' | without_times >expected || true
	block "$1" | script_of >script
	PORTS=$PWD/$1 HOME=$PWD/$1 PATH=$PWD/bin:$PATH timeout -k 5 "$LIMIT" \
		bash -c 'cd "$1" && . ../script' example "$1" </dev/null >printed 2>&1 3>&- 4>&- ||
		echo "the example ended with status $?" >>printed
	for port in 9000 9001; do
		[ ! -e "$1/$port.port" ] || sed -i "s/\<$(<"$1/$port.port")\>/$port/g" printed
	done
	without_times <printed | diff -u expected - || {
		cat script
		return 1
	}
}

# Runs all examples of the section that has the name of the test.
run_section() {
	local number numbers
	numbers=$(examples "$BATS_TEST_DESCRIPTION")
	[ -n "$numbers" ]
	make_stand_ins
	for number in $numbers; do
		run_example "$number"
	done
}

# Makes keys and settings with which sshd and ssh get on with each other, whoever runs this.
prepare_ssh() {
	SSHD=$(PATH=$PATH:/usr/sbin command -v sshd) || skip "no sshd"
	ssh-keygen -q -t ed25519 -N '' -f host_key
	ssh-keygen -q -t ed25519 -N '' -f user_key
	cat >sshd_config <<-END
		HostKey $PWD/host_key
		AuthorizedKeysFile $PWD/user_key.pub
		StrictModes no
		PermitRootLogin yes
		PasswordAuthentication no
		PidFile none
	END
	cat >ssh_config <<-END
		IdentityFile $PWD/user_key
		IdentitiesOnly yes
		BatchMode yes
		StrictHostKeyChecking no
		UserKnownHostsFile /dev/null
		LogLevel ERROR
	END
	# the two alone, without a network in between
	returns 0 ssh -F ssh_config -o ProxyCommand="$SSHD -i -f $PWD/sshd_config" localhost true ||
		skip "nobody can log in here"
	mkdir bin
	printf '#!/bin/sh\nPATH=${PATH#*:}\nPATH=%s:$PATH exec %s -F %s "$@"\n' \
		"$PWD/bin" "$(command -v ssh)" "$PWD/ssh_config" >bin/ssh
	chmod +x bin/ssh
}

@test "Send a file" {
	run_section
}

@test "Ask and answer" {
	run_section
}

@test "Be an echo server" {
	run_section
}

@test "Make a service of a line of shell" {
	run_section
}

@test "Serve git and rsync" {
	need git
	need rsync
	run_section
}

@test "Lead ssh through" {
	local number
	need ssh
	prepare_ssh
	number=$(examples "$BATS_TEST_DESCRIPTION")
	mkdir "$number"
	start_bg sshd "$TCPTOOL" listen -k --port-file="$number/9000.port" 127.0.0.1 0 -- "$SSHD" -i -f sshd_config
	run_section
}

@test "Forward a port" {
	run_section
}

@test "See whether a port is open" {
	run_section
}

@test "Wait for a service" {
	run_section
}

@test "See whether a service is well" {
	run_section
}

@test "Read a protocol by hand" {
	run_section
}

@test "Watch a transfer" {
	run_section
}

@test "Slow a client down" {
	run_section
}

@test "Listen in a script" {
	run_section
}

@test "Serve one after another" {
	run_section
}

@test "Exchange a greeting" {
	run_section
}

@test "Set limits, and see what went wrong" {
	run_section
}

@test "Record a session for Wireshark" {
	run_section
}

@test "no section of the README has examples that are not run here" {
	blocks | awk -F '\t' 'substr($3, 1, 2) == "$ " { print $1 }' | sort -u >sections
	sed -n 's/^@test "\(.*\)" {$/\1/p' "$BATS_TEST_FILENAME" | sort >tests
	comm -23 sections tests >missing
	[ ! -s missing ] || {
		cat missing
		return 1
	}
}

@test "the README begins with bootstrap demo and bootstrap check, which exist" {
	[ "$(block 1)" = "$(printf './bootstrap demo\n./bootstrap check')" ]
	# an unknown word gets the usage, and nothing else happens
	returns 2 sh "$BATS_TEST_DIRNAME/../bootstrap" help-me
	grep -q '^ *\./bootstrap demo ' err
	grep -q '^ *\./bootstrap check ' err
}

@test "indented blocks that are not run are known ones" {
	blocks | awk -F '\t' '
		substr($3, 1, 2) == "$ " { run[$2] = 1 }
		!run[$2] && $1 != "How fast" { print $3 }' >not-run
	holds not-run './bootstrap demo\n./bootstrap check\n./bootstrap\nmkdir -p build && cd build\n../configure\nmake\nmake check\nmake install\n'
}

@test "the figures of bulk transfer are those of bench/results.tsv" {
	blocks | awk -F '\t' '$1 == "How fast" && $3 ~ /^(tcptool|n[a-z.]+|socat).* \(.*\).* \(.*\).* \(/ { print $3 }' >shown
	[ "$(wc -l <shown)" -eq 7 ]
	while read -r line; do
		[[ $line =~ ^([a-z.]+( -b [0-9]+[kM])?)\ +([0-9].*) ]]
		name=${BASH_REMATCH[1]/ -b /-}
		read -r -a figures <<<"${BASH_REMATCH[3]//[()]/}"
		measured=()
		for congestion in bbr reno; do
			for case in pipe null file; do
				for metric in GB/s CPU-s/GiB; do
					[[ $congestion$metric != reno*GiB ]] || continue
					measured+=("$(awk -F '\t' -v key="bulk $case $congestion $name $metric" \
						'$1 " " $2 " " $3 " " $4 " " $5 == key { printf "%.2f", $6 }' \
						"$BATS_TEST_DIRNAME/../bench/results.tsv")")
				done
			done
		done
		[ "${figures[*]}" = "${measured[*]}" ] || {
			echo "$name: README ${figures[*]}, measured ${measured[*]}"
			return 1
		}
	done <shown
}

@test "every file and option that the README names exists" {
	for file in man/tcptool.1 NEWS HACKING COPYING examples/report.schema.json; do
		grep -q "\<$file\>" "$README"
		[ -f "$BATS_TEST_DIRNAME/../$file" ]
	done
	returns 0 "$TCPTOOL" listen --help
	mv out help
	returns 0 "$TCPTOOL" connect --help
	cat out >>help
	# those of other programs are theirs
	sed -E '/^ +\$ (git|rsync|ssh) /d; s/ -- .*//' "$README" | grep -o -e '--[a-z][a-z-]*' | sort -u >named
	[ -s named ]
	while read -r option; do
		grep -q -e "$option\>" help || {
			echo "$option"
			return 1
		}
	done <named
}
