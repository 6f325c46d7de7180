# Runs the examples of a page, a text like README or a manual page in mdoc(7), in one shell: as they are
# shown, in their order. An example is an indented block or a literal display in which lines that begin
# with "$ " are commands and all others are what they print. A test file loads helpers and this, calls
# run_examples in setup_file, and as_shown once for each section.
# shellcheck shell=bash

# The ports that stand for free ones in the examples.
EXAMPLE_PORTS=(9000 9001 9022)

# What examples need that is not on every machine. The others run where one of them is missing.
EXAMPLE_TOOLS=(git rsync ssh tar)

# mdoc_text: from mdoc(7) to the characters that a reader sees; macros stay.
mdoc_text() {
	sed "s/\\\\(aq/'/g; s/\\\\(ha/^/g; s/\\\\(ti/~/g; s/\\\\(ga/\`/g; s/\\\\\\([-.]\\)/\\1/g; s/\\\\&//g; s/\\\\e/\\\\/g"
}

# blocks_of PAGE: a line "SECTION<tab>NUMBER<tab>LINE" for each line of its blocks. The section is the
# heading .Ss in a manual page; in a text it is the beginning of the paragraph above the block.
blocks_of() {
	case $1 in
	*.[1-8])
		awk '
			/^\.S[hs] / { section = substr($0, 5) }
			/^\.Bd -literal/ { inside = 1; block++; next }
			/^\.Ed/ { inside = 0 }
			inside { print section "\t" block "\t" $0 }' "$1" | mdoc_text
		;;
	*)
		awk '
			/^    / {
				if (!inside) {
					block++
					sub(/[,:(].*/, "", paragraph)
				}
				print paragraph "\t" block "\t" substr($0, 5)
			}
			!/^    / && NF && (inside || blank) { paragraph = $0 }
			{ inside = /^    /; blank = !NF }' "$1"
		;;
	esac
}

# examples_of PAGE: the lines of those blocks that have commands.
examples_of() {
	blocks_of "$1" | awk -F '\t' '
		$2 != block { flush_block(); block = $2 }
		{ lines = lines $0 "\n"; if (substr($3, 1, 2) == "$ ") command = 1 }
		END { flush_block() }
		function flush_block() {
			if (command) printf "%s", lines
			lines = ""; command = 0
		}'
}

# script_of_examples PAGE: all examples as one script. Output goes to a file for each, printed/NUMBER.
# Each command has to succeed, unless the next one shows its status; no listener may outlive its example.
script_of_examples() {
	cat <<-'END'
		failed() {
			local status=$?
			[ "$status" -eq 0 ] || echo "(status $status: $1)"
		}
		finish() {
			local left
			left=$(jobs -rp)
			[ -n "$left" ] || return 0
			echo "(still running: $(jobs -r))"
			kill $left
			wait
		}
		trap 'kill $(jobs -p) 2>/dev/null; wait' EXIT
	END
	examples_of "$1" | awk -F '\t' '
		function check() {
			if (command == "") return
			gsub(/\047/, "\047\\\047\047", command)
			print "failed \047" command "\047"
			command = ""
		}
		function finish() { check(); if (block) print "finish" }
		!($2 in lacking) { lacking[$2] = (getline reason <("lacking/" $2)) > 0 }
		lacking[$2] { next }
		$2 != block { finish(); block = $2; print "exec >\"$PRINTED/" block "\" 2>&1" }
		substr($3, 1, 2) != "$ " { next }
		$3 == "$ echo $?" { print "echo $?"; command = ""; next }
		{ check(); command = substr($3, 3); print command }
		END { finish() }'
}

# without_times: what differs from run to run is masked: how long, at what time, from which port.
without_times() {
	sed -E 's/ open [0-9.]+$/ open MS/; s/^([=<>] #1) [0-9: .-]*:[0-9]+\.[0-9]+ /\1 TIME /
		s/ from 127\.0\.0\.1 port [0-9]+$/ from PEER/'
}

# choose_ports: in a network of our own the ports are those of the page; elsewhere each gets a free one,
# which stands for it on the whole page. PORTS_IN and PORTS_OUT are sed scripts that exchange them.
choose_ports() {
	local port free
	PORTS_IN='' PORTS_OUT=''
	[ "${#NET[@]}" -eq 0 ] || return 0
	for port in "${EXAMPLE_PORTS[@]}"; do
		free=$("$HELPERS/peer" free)
		PORTS_IN+="s/\<$port\>/$free/g;"
		PORTS_OUT+="s/\<$free\>/$port/g;"
	done
}

# note_what_is_lacking PAGE: for each block that cannot run here, the reason is the file lacking/NUMBER.
# LACKS[WORDS] is the reason why commands with these words cannot run.
note_what_is_lacking() {
	local block line words
	for words in "${EXAMPLE_TOOLS[@]}"; do
		command -v "$words" >/dev/null || LACKS[$words]="no $words"
	done
	[ -n "${LACKS[git]:-}" ] || [ -x "$(git --exec-path)/git-daemon" ] || LACKS[git daemon]="no git daemon"
	mkdir lacking
	while IFS=$'\t' read -r _ block line; do
		line=" ${line//[^a-z0-9.\/-]/ } "
		for words in "${!LACKS[@]}"; do
			[[ $line != *" $words "* ]] ||
				echo "${LACKS[$words]}" >"lacking/$block"
		done
	done < <(examples_of "$1" | grep -F $'\t$ ')
}

# run_examples PAGE: for setup_file. Runs them in an empty directory. A function before_examples, if the
# test file has one, is called when the network is there; it may fill LACKS and put programs into bin/.
run_examples() {
	(
		cd "$BATS_FILE_TMPDIR" || exit
		# shellcheck disable=SC2034 # start_bg and end_background use PIDS
		declare -gA PIDS=() LACKS=()
		trap end_background EXIT
		mkdir bin printed
		# all that they make is as private as some people like it
		umask 077
		mkdir home
		ln -s "$TCPTOOL" bin/tcptool
		isolate -u
		choose_ports
		! declare -F before_examples >/dev/null || before_examples
		note_what_is_lacking "$1"
		script_of_examples "$1" | sed "$PORTS_IN" >script
		cd home || exit
		HOME=$PWD PRINTED=$BATS_FILE_TMPDIR/printed PATH=$BATS_FILE_TMPDIR/bin:$PATH \
			timeout -k 5 $((3 * LIMIT)) "${NET[@]}" bash ../script </dev/null >../last 2>&1 3>&- 4>&- ||
			echo "status $?" >>../last
		sed -i "$PORTS_OUT" ../printed/*
	)
}

# as_shown PAGE SECTION: its examples have printed what the page shows.
as_shown() {
	local block blocks page=$1
	blocks=$(examples_of "$page" | awk -F '\t' -v section="$2" '$1 == section && !seen[$2]++ { print $2 }')
	[ -n "$blocks" ]
	cd "$BATS_FILE_TMPDIR" || return
	for block in $blocks; do
		[ ! -e "lacking/$block" ] || skip "$(<"lacking/$block")"
		examples_of "$page" | awk -F '\t' -v block="$block" '$2 == block' | cut -f 3- | grep -v '^\$ ' |
			without_times >"$BATS_TEST_TMPDIR/shown" || true
		[ -e "printed/$block" ] || {
			echo "never reached; the shell said:"
			cat last
			return 1
		}
		without_times <"printed/$block" | diff -u "$BATS_TEST_TMPDIR/shown" -
	done
}

# all_examples_have_tests PAGE: each section with examples is named in an as_shown of the test file.
all_examples_have_tests() {
	examples_of "$1" | cut -f 1 | sort -u >sections
	sed -n "s/.*as_shown \"\$[A-Z]*\" '\(.*\)'.*/\1/p" "$BATS_TEST_FILENAME" | sort >tests
	[ -s sections ]
	diff -u sections tests
}
