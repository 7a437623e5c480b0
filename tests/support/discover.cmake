# SPDX-License-Identifier: LGPL-2.1-or-later
# Read by ctest: one test for each name that a program of tests listed when it was built.
function(discover topic name backend program)
  set(labels "suites;${topic};${backend}")
  if(NOT EXISTS "${program}.list")
    add_test(${topic}/${name}-${backend}_NOT_BUILT "${program}")
    set_tests_properties(${topic}/${name}-${backend}_NOT_BUILT PROPERTIES LABELS "${labels}")
    return()
  endif()
  file(STRINGS "${program}.list" tests)
  foreach(test IN LISTS tests)
    add_test(${topic}/${name}/${test}-${backend} "${program}" ${test})
    set_tests_properties(${topic}/${name}/${test}-${backend} PROPERTIES TIMEOUT 900 LABELS
      "${labels}")
  endforeach()
endfunction()
