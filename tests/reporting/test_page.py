def test_smoke(reports):
    import shutil, pathlib

    shutil.copytree(reports, "/tmp/rep", dirs_exist_ok=True)
