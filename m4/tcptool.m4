# Macros of tcptool's configure.ac.

# TCPTOOL_CFLAG(VARIABLE, FLAG)
# -----------------------------
# Appends FLAG to VARIABLE if the compiler takes it, after those already there, without a word of
# complaint. -Werror turns "unknown option" and "unused argument" into the refusals that they are.
AC_DEFUN([TCPTOOL_CFLAG],
[AS_VAR_PUSHDEF([taken], [tcptool_cv_cflag_$2])dnl
AC_CACHE_CHECK([whether $CC takes $2], [taken],
[tcptool_saved_CFLAGS=$CFLAGS
CFLAGS="$CFLAGS $$1 -Werror $2"
AC_COMPILE_IFELSE([AC_LANG_PROGRAM], [AS_VAR_SET([taken], [yes])], [AS_VAR_SET([taken], [no])])
CFLAGS=$tcptool_saved_CFLAGS])
AS_VAR_IF([taken], [yes], [AS_VAR_APPEND([$1], [" $2"])])
AS_VAR_POPDEF([taken])dnl
])

# TCPTOOL_CFLAGS(VARIABLE, FLAGS)
# -------------------------------
# TCPTOOL_CFLAG for each of a list, so that an old compiler loses only the flags it does not know.
AC_DEFUN([TCPTOOL_CFLAGS],
[m4_foreach_w([tcptool_flag], [$2], [TCPTOOL_CFLAG([$1], m4_defn([tcptool_flag]))
])])

# TCPTOOL_LDFLAG(VARIABLE, FLAG)
# ------------------------------
# Appends FLAG to VARIABLE if a program links with it and the linker does not warn.
AC_DEFUN([TCPTOOL_LDFLAG],
[AS_VAR_PUSHDEF([taken], [tcptool_cv_ldflag_$2])dnl
AC_CACHE_CHECK([whether the linker takes $2], [taken],
[tcptool_saved_LDFLAGS=$LDFLAGS
LDFLAGS="$LDFLAGS -Wl,--fatal-warnings $2"
AC_LINK_IFELSE([AC_LANG_PROGRAM], [AS_VAR_SET([taken], [yes])], [AS_VAR_SET([taken], [no])])
LDFLAGS=$tcptool_saved_LDFLAGS])
AS_VAR_IF([taken], [yes], [AS_VAR_APPEND([$1], [" $2"])])
AS_VAR_POPDEF([taken])dnl
])

# TCPTOOL_BOTH_FLAG(FLAGS, [IF-TAKEN], [IF-NOT])
# ----------------------------------------------
# For what the compiler and the linker must agree on: runs IF-TAKEN when a program is compiled and
# linked with FLAGS.
AC_DEFUN([TCPTOOL_BOTH_FLAG],
[AS_VAR_PUSHDEF([taken], [tcptool_cv_bothflag_$1])dnl
AC_CACHE_CHECK([whether programs build with $1], [taken],
[tcptool_saved_CFLAGS=$CFLAGS
CFLAGS="$CFLAGS -Werror $1"
AC_LINK_IFELSE([AC_LANG_PROGRAM], [AS_VAR_SET([taken], [yes])], [AS_VAR_SET([taken], [no])])
CFLAGS=$tcptool_saved_CFLAGS])
AS_VAR_IF([taken], [yes], [$2], [$3])
AS_VAR_POPDEF([taken])dnl
])
