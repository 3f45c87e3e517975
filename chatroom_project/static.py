"""Static files under names that contain a hash of their content."""

from servestatic.storage import CompressedManifestStaticFilesStorage


class HashedFiles(CompressedManifestStaticFilesStorage):  # type: ignore[misc]
    """Also rewrites the imports of JavaScript modules, so that no cached module is ever stale."""

    support_js_module_import_aggregation = True
    max_post_process_passes = 20
    """One for each level of nested imports, which are more than Django's five."""
