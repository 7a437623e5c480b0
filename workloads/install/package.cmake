# SPDX-License-Identifier: LGPL-2.1-or-later
# Debian packages, one per component: cpack -G DEB in the build folder.
set(CPACK_PACKAGE_VENDOR "The Tally project")
set(CPACK_PACKAGE_CONTACT "The Tally project <tally@localhost>")
set(CPACK_PACKAGE_DESCRIPTION_SUMMARY
  "multithreaded object runtime with interchangeable threading backends")
set(CPACK_PACKAGING_INSTALL_PREFIX /usr)
set(CPACK_COMPONENTS_ALL library development tool)
set(CPACK_DEB_COMPONENT_INSTALL ON)
set(CPACK_INSTALL_DEFAULT_DIRECTORY_PERMISSIONS OWNER_READ OWNER_WRITE OWNER_EXECUTE GROUP_READ
  GROUP_EXECUTE WORLD_READ WORLD_EXECUTE)
set(CPACK_DEBIAN_FILE_NAME DEB-DEFAULT)
# Not stripped: the stacks of a driver that hangs take the names from its symbols.
set(CPACK_DEBIAN_PACKAGE_SHLIBDEPS ON)
set(CPACK_DEBIAN_PACKAGE_GENERATE_SHLIBS ON)
set(CPACK_DEBIAN_PACKAGE_SECTION devel)
set(CPACK_DEBIAN_TOOL_PACKAGE_NAME tally)
set(CPACK_DEBIAN_TOOL_PACKAGE_RECOMMENDS "libtally-dev, python3, wrk, valgrind")
set(CPACK_COMPONENT_TOOL_DESCRIPTION
  "The command tally runs workloads on every backend, and reports what a
 reference-counted runtime gains, and what it pays, without its global interpreter lock.")
set(CPACK_DEBIAN_LIBRARY_PACKAGE_NAME libtally)
set(CPACK_DEBIAN_LIBRARY_PACKAGE_SECTION libs)
set(CPACK_COMPONENT_LIBRARY_DESCRIPTION
  "Shared libraries, one per backend, for other languages than C.")
set(CPACK_DEBIAN_DEVELOPMENT_PACKAGE_NAME libtally-dev)
set(CPACK_DEBIAN_DEVELOPMENT_PACKAGE_SECTION libdevel)
string(CONCAT CPACK_DEBIAN_DEVELOPMENT_PACKAGE_DEPENDS "libtally (= ${PROJECT_VERSION}), "
  "gcc | clang, pkg-config, liburcu-dev, libhwloc-dev, libjansson-dev")
set(CPACK_COMPONENT_DEVELOPMENT_DESCRIPTION
  "Headers and static libraries, and the harness that makes a driver of a
 workload.")
file(CONFIGURE OUTPUT copyright CONTENT "Tally: the Tally authors.
Licence: LGPL-2.1-or-later, in /usr/share/common-licenses/LGPL-2.1. The program tally-compare links
the GNU Scientific Library, so as built it is under GPL-3, in /usr/share/common-licenses/GPL-3.
" @ONLY)
foreach(component tool library development)
  string(TOUPPER ${component} key)
  install(FILES ${CMAKE_CURRENT_BINARY_DIR}/copyright DESTINATION
    ${CMAKE_INSTALL_DATADIR}/doc/${CPACK_DEBIAN_${key}_PACKAGE_NAME} COMPONENT ${component})
endforeach()
include(CPack)
